"""A template holds what may be shared and nothing else, and is placed whole or not at all."""

import dataclasses
import os
import struct
from pathlib import Path

import pytest

from daemon.core.errors import DamagedError, FatalError
from shards.profile import template as module
from shards.profile.caches import CACHE_DIRS
from shards.profile.copying import copy_verified
from shards.profile.files import relevant_files
from shards.profile.httpcache import is_immutable
from shards.profile.template import Template, TemplateKey, newest, place, remove, seal, templates

KEY = TemplateKey(chromium="156.0.8078.79", binary="chromium-headless-shell", origin="https://web.whatsapp.com")
HTTP = "Default/Cache/Cache_Data"
FOREVER = b"HTTP/1.1 200 OK\0Cache-Control: public, max-age=31536000, immutable\0\0"
CHECKED = b"HTTP/1.1 200 OK\0Cache-Control: no-cache\0X-Note: immutable\0\0"


def entry(headers: bytes, body: bytes = b"body", *, key_digest: bool = True) -> bytes:
    """Return the file of an HTTP cache entry as Chromium writes it."""
    key = b"1/0/https://web.whatsapp.com/x.js"
    start = struct.pack("<QIII4x", 0xFCFB6D1BA7725C30, 5, len(key), 0) + key + body
    middle = struct.pack("<QIII4x", 0xF4FA6F45970D41D8, 1, 0, len(body)) + headers + bytes(32 if key_digest else 0)
    return start + middle + struct.pack("<QIII4x", 0xF4FA6F45970D41D8, 3 if key_digest else 1, 0, len(headers))


SHARED = {
    f"{HTTP}/index": b"index",
    f"{HTTP}/00000000000000aa_0": entry(FOREVER),
    f"{HTTP}/00000000000000aa_1": b"more of it",
    f"{HTTP}/00000000000000bb_0": entry(FOREVER, key_digest=False),
    "Default/Code Cache/js/0123456789abcdef_0": b"code" * 1000,
    "Default/Service Worker/Database/CURRENT": b"MANIFEST-000001\n",
    "Default/Service Worker/ScriptCache/index-dir/the-real-index": b"index",
}
NOT_SHARED = {
    f"{HTTP}/00000000000000cc_0": entry(CHECKED, body=FOREVER),
    f"{HTTP}/00000000000000cc_1": b"more of it",
    f"{HTTP}/00000000000000dd_1": b"of no entry",
    f"{HTTP}/00000000000000ee_0": b"short",
    f"{HTTP}/index-dir/the-real-index": b"index",
    f"{HTTP}/other": b"?",
    "Default/Cache/No_Vary_Search/journal.baj": b"?",
    "Default/Service Worker/Database/LOCK": b"",
    "Default/Service Worker/Database/LOG": b"log",
    "Default/Cookies": b"cookies",
    "Default/IndexedDB/x.indexeddb.leveldb/CURRENT": b"MANIFEST-000001\n",
    "Default/Local Storage/leveldb/CURRENT": b"MANIFEST-000001\n",
}


def write(root: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def content_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "source", SHARED | NOT_SHARED)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "profiles"


@pytest.fixture
def made(source: Path, root: Path) -> Template:
    return seal(source, root, KEY, "2.3000.1")


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return write(tmp_path / "profile", {"Default/Cookies": b"of this session"})


def placed(template: Template, profile: Path) -> bool:
    return place(template, profile, min_free_bytes=0)


def test_only_what_may_be_shared_is_placed(made: Template, root: Path, profile: Path) -> None:
    found = newest(root, KEY)
    assert found == made and found is not None and found.wa_version == "2.3000.1"
    assert (found.size_bytes, found.answers) == (sum(map(len, SHARED.values())), 2)
    assert placed(found, profile)
    assert content_of(profile) == SHARED | {"Default/Cookies": b"of this session"}


def test_nothing_of_it_is_backed_up_or_shared_with_a_profile(made: Template, profile: Path) -> None:
    before = list(relevant_files(profile))
    assert placed(made, profile)
    assert list(relevant_files(profile)) == before
    for file in made.files:
        assert not os.path.samefile(made.folder / file.path, profile / file.path)
        (profile / file.path).write_bytes(b"rewritten in place")
    assert content_of(made.folder).keys() == SHARED.keys() | {"manifest.json"}
    assert all((made.folder / path).read_bytes() == content for path, content in SHARED.items())


def test_only_its_owner_can_enter(made: Template, root: Path) -> None:
    for folder in (root / ".templates", made.folder.parent, made.folder):
        assert folder.stat().st_mode & 0o777 == 0o700, folder


@pytest.mark.parametrize("part", ["chromium", "binary", "origin"])
def test_another_key_finds_nothing(made: Template, root: Path, part: str) -> None:
    assert newest(root, dataclasses.replace(KEY, **{part: "other"})) is None


def test_a_new_template_replaces_the_older_one_of_its_key(source: Path, made: Template, root: Path) -> None:
    other = seal(source, root, dataclasses.replace(KEY, binary="chromium"), None)
    again = seal(source, root, KEY, "2.3000.2")
    assert newest(root, KEY) == again != made and not made.folder.exists()
    assert set(templates(root)) == {again, other}
    assert remove(root) == 2 and templates(root) == () and remove(root) == 0


@pytest.mark.parametrize("path", SHARED)
def test_a_damaged_file_keeps_the_whole_template_out(made: Template, profile: Path, path: str) -> None:
    damaged = bytearray(SHARED[path])
    damaged[len(damaged) // 2] ^= 1
    for content in (bytes(damaged), SHARED[path][:-1], None):
        (made.folder / path).unlink()
        if content is not None:
            (made.folder / path).write_bytes(content)
        else:
            (made.folder / path).symlink_to(profile / "Default/Cookies")
        assert not placed(made, profile)
        assert content_of(profile) == {"Default/Cookies": b"of this session"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}"])
def test_a_manifest_that_cannot_be_read_is_no_template(made: Template, root: Path, content: bytes) -> None:
    (made.folder / "manifest.json").write_bytes(content)
    assert newest(root, KEY) is None


@pytest.mark.parametrize("path", ["Default/Cookies2", f"{HTTP}/../../Cookies2", "/tmp/x", "Default/Cache/x"])
def test_a_manifest_never_leads_elsewhere(made: Template, profile: Path, path: str) -> None:
    wrong = dataclasses.replace(made, files=(*made.files, dataclasses.replace(made.files[0], path=path)))
    assert not placed(wrong, profile)
    assert content_of(profile) == {"Default/Cookies": b"of this session"}


@pytest.mark.parametrize("part", CACHE_DIRS)
def test_a_profile_with_caches_keeps_its_own(made: Template, profile: Path, part: str) -> None:
    write(profile, {f"{part}/own": b"own"})
    before = content_of(profile)
    assert not placed(made, profile)
    assert content_of(profile) == before


def test_with_too_little_room_nothing_is_placed(made: Template, profile: Path) -> None:
    assert not place(made, profile, min_free_bytes=1 << 62)
    assert content_of(profile) == {"Default/Cookies": b"of this session"}


def test_too_many_or_no_caches_are_not_sealed(source: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size_bytes = sum(map(len, SHARED.values()))
    monkeypatch.setattr(module, "MAX_BYTES", size_bytes)
    kept = seal(source, root, KEY, None)
    monkeypatch.setattr(module, "MAX_BYTES", size_bytes - 1)
    with pytest.raises(FatalError, match="too large"):
        seal(source, root, KEY, None)
    with pytest.raises(FatalError, match="no caches"):
        seal(write(root.with_name("empty"), {"Default/Cookies": b""}), root, KEY, None)
    assert newest(root, KEY) == kept


def test_a_seal_that_fails_leaves_the_older_template(
    source: Path, made: Template, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomic", full)
    with pytest.raises(OSError, match="No space"):
        seal(source, root, KEY, None)
    assert newest(root, KEY) == made and list(made.folder.parent.iterdir()) == [made.folder]


def test_links_in_the_caches_are_not_followed(source: Path, root: Path) -> None:
    (source / "Default/Code Cache/link").symlink_to(source / "Default/Cookies")
    assert {file.path for file in seal(source, root, KEY, None).files} == SHARED.keys()


@pytest.mark.parametrize("cut", range(0, 24 + 32 + len(FOREVER) + 1, 5))
def test_an_entry_cut_short_is_not_taken_for_immutable(tmp_path: Path, cut: int) -> None:
    whole = entry(FOREVER)
    (tmp_path / "whole").write_bytes(whole)
    (tmp_path / "cut").write_bytes(whole[: len(whole) - cut - 1])
    assert is_immutable(tmp_path / "whole") and not is_immutable(tmp_path / "cut")


def test_a_copy_of_another_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(DamagedError):
        copy_verified(tmp_path / "a", tmp_path / "b", sha256="0" * 64)
