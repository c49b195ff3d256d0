"""Zips of a Node service's RemoteAuth, as archiver 7 writes them: what is taken from them, and what is refused."""

import io
import os
import struct
import zipfile
from pathlib import Path

import pytest

from daemon.core.errors import ArchiveDamagedError, ArchiveUnsafeError, UnavailableError
from shards.archive import placing
from shards.archive.bounds import UnpackLimits
from shards.archive.legacy import unpack_legacy
from tests.unit.archive.conftest import LIMITS, content_of, write_files

DATABASE = "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb"
LOGIN = {
    f"{DATABASE}/000003.log": b"log" * 40,
    f"{DATABASE}/000005.ldb": bytes(range(200)),
    f"{DATABASE}/000007.log": b"",
    f"{DATABASE}/CURRENT": b"MANIFEST-000001\n",
    f"{DATABASE}/MANIFEST-000001": b"manifest",
    "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.blob/1/00/5": b"blob",
    "Default/Local Storage/leveldb/000004.log": b"local",
}
COOKIES = {"Default/Cookies": b"SQLite", "Default/Cookies-journal": b"", "Default/Network/Cookies": b"SQLite 2"}
REST = {
    f"{DATABASE}/LOCK": b"",
    f"{DATABASE}/LOG": b"opened",
    f"{DATABASE}/LOG.old": b"opened",
    f"{DATABASE}/000009.dbtmp": b"MANIFEST-000001\n",
    f"{DATABASE}/lost/000001.log": b"no place of LevelDB's",
    "Default/Local Storage/leveldb/LOCK": b"",
    "Default/Cache/Cache_Data/data_0": b"cache",
    "Default/Service Worker/Database/CURRENT": b"MANIFEST-000001\n",
    "Default/Preferences": b"{}",
    "DevToolsActivePort": b"1",
    "Local State": b"{}",
    "SingletonCookie": b"",
}


class Forward(io.RawIOBase):
    """A sink that cannot seek, so that zipfile writes data descriptors, as archiver does."""

    def __init__(self) -> None:
        self.content = b""

    def writable(self) -> bool:
        return True

    def write(self, content: bytes, /) -> int:  # type: ignore[override]
        self.content += content
        return len(content)


def entry(name: str, mode: int, kind: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name, (2026, 11, 23, 2, 0, 0))
    made.create_system, made.external_attr, made.compress_type = 3, mode << 16, kind
    return made


def remote_auth(files: dict[str, bytes], *, folder: str = "", links: dict[str, str] | None = None) -> bytes:
    out = Forward()
    with zipfile.ZipFile(out, "w") as made:
        folders = {path[: at + 1] for path in files for at, letter in enumerate(path) if letter == "/"}
        for name in sorted(folders | files.keys()):
            if name.endswith("/"):
                made.writestr(entry(folder + name, 0o40755, zipfile.ZIP_STORED), b"")
            else:
                made.writestr(entry(folder + name, 0o100644), files[name])
        for name, target in (links or {}).items():
            made.writestr(entry(folder + name, 0o120777), target)
    return out.content


def unpacked(content: bytes, tmp_path: Path, limits: UnpackLimits = LIMITS) -> dict[str, bytes]:
    source = tmp_path / "theirs.zip"
    source.write_bytes(content)
    unpack_legacy(source, tmp_path / "out", limits=limits)
    return content_of(tmp_path / "out")


def assert_refused(content: bytes, tmp_path: Path, error: type[ArchiveDamagedError] = ArchiveDamagedError) -> None:
    with pytest.raises(error):
        unpacked(content, tmp_path)
    assert os.listdir(tmp_path) == ["theirs.zip"]


def test_the_fixture_is_like_archivers_output() -> None:
    listed = zipfile.ZipFile(io.BytesIO(remote_auth(LOGIN))).infolist()
    assert {found.flag_bits & 0x8 for found in listed if not found.is_dir()} == {0x8}
    assert any(found.is_dir() for found in listed)


@pytest.mark.parametrize("folder", ["", "RemoteAuth-acme/"])
def test_the_login_is_taken_and_nothing_else(tmp_path: Path, folder: str) -> None:
    links = {"SingletonLock": "host-123", "SingletonSocket": "/tmp/x/S"}
    content = remote_auth(LOGIN | COOKIES | REST, folder=folder, links=links)
    assert unpacked(content, tmp_path) == LOGIN | COOKIES
    assert sorted(os.listdir(tmp_path)) == ["out", "theirs.zip"]


def test_a_current_archive_has_no_cookies(tmp_path: Path) -> None:
    assert unpacked(remote_auth(LOGIN), tmp_path) == LOGIN


def test_zips_of_other_tools_with_sizes_in_front_are_read(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as made:
        for path, content in LOGIN.items():
            made.writestr(path, content)
    assert unpacked(out.getvalue(), tmp_path) == LOGIN


@pytest.mark.parametrize(
    "files",
    [
        {},
        COOKIES,
        REST,
        {path: content for path, content in LOGIN.items() if "IndexedDB" not in path},
        {path: content for path, content in LOGIN.items() if "CURRENT" not in path},
        {f"a/b/{path}": content for path, content in LOGIN.items()},
    ],
    ids=["empty", "cookies", "rest", "no-indexeddb", "no-current", "too-deep"],
)
def test_an_archive_without_a_login_is_damaged(tmp_path: Path, files: dict[str, bytes]) -> None:
    assert_refused(remote_auth(files), tmp_path)


def test_an_archive_of_two_profiles_is_damaged(tmp_path: Path) -> None:
    files = {f"{folder}/{path}": content for folder in ("a", "b") for path, content in LOGIN.items()}
    assert_refused(remote_auth(files), tmp_path)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "Default/../../evil", "a\\..\\evil", "Default//evil"])
def test_a_path_that_leads_out_is_unsafe_even_if_it_is_not_taken(tmp_path: Path, name: str) -> None:
    assert_refused(remote_auth(LOGIN | {name: b"x"}), tmp_path, ArchiveUnsafeError)


def test_a_link_in_the_place_of_the_login_is_unsafe(tmp_path: Path) -> None:
    content = remote_auth(LOGIN, links={f"{DATABASE}/000011.log": "/etc/passwd"})
    assert_refused(content, tmp_path, ArchiveUnsafeError)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_damaged(tmp_path: Path) -> None:
    assert_refused(remote_auth(LOGIN, links={f"{DATABASE}/CURRENT": "x"}), tmp_path)
    out = Forward()
    with zipfile.ZipFile(out, "w") as made:
        for path, content in [*LOGIN.items(), (f"{DATABASE}/CURRENT", b"MANIFEST-000002\n")]:
            made.writestr(entry(path, 0o100644), content)
    assert_refused(out.content, tmp_path)


def test_a_file_that_is_also_a_directory_is_unsafe(tmp_path: Path) -> None:
    blob = "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.blob/1"
    assert_refused(remote_auth(LOGIN | {blob: b"x"}), tmp_path, ArchiveUnsafeError)


@pytest.mark.parametrize("limits", [{"max_files": 6}, {"max_file_bytes": 199}, {"max_total_bytes": 300}])
def test_limits_hold_for_what_is_taken(tmp_path: Path, limits: dict[str, int]) -> None:
    with pytest.raises(ArchiveUnsafeError):
        unpacked(remote_auth(LOGIN | REST), tmp_path, UnpackLimits(**limits))


def test_a_bomb_gives_no_more_than_it_declares(tmp_path: Path) -> None:
    path = f"{DATABASE}/000011.ldb"
    content = bytearray(remote_auth({f"{DATABASE}/CURRENT": b"MANIFEST-000001\n", path: b"\0" * 30_000_000}))
    while (at := content.find(struct.pack("<L", 30_000_000))) >= 0:
        content[at : at + 4] = struct.pack("<L", 5)
    assert_refused(bytes(content), tmp_path)


def test_entries_that_share_their_bytes_are_damaged(tmp_path: Path) -> None:
    """As in bombs that list the same packed bytes many times."""
    out = Forward()
    with zipfile.ZipFile(out, "w") as made:
        for path, content in LOGIN.items():
            made.writestr(entry(path, 0o100644), content)
        made.filelist.append(made.filelist[-1])
    assert_refused(out.content, tmp_path)


def test_bytes_before_behind_or_between_the_entries_are_damage(tmp_path: Path) -> None:
    content = remote_auth(LOGIN)
    directory = content.index(b"PK\1\2")
    # zipfile itself makes up for what is missing from the offsets when something stands in front.
    assert_refused(b"junk" + content, tmp_path)
    assert_refused(content[:directory] + b"junk" + content[directory:], tmp_path)


def test_a_zip_within_a_cut_zip_is_not_taken_for_it(tmp_path: Path) -> None:
    inner = remote_auth(dict.fromkeys(LOGIN, b"another's"))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as made:
        made.writestr("Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.blob/1/00/6", inner)
        for path, content in LOGIN.items():
            made.writestr(path, content)
    cut = out.getvalue()[: out.getvalue().index(inner) + len(inner)]
    assert zipfile.ZipFile(io.BytesIO(cut)).namelist(), "zipfile takes it"
    assert_refused(cut, tmp_path)


def test_every_truncation_is_damage(tmp_path: Path) -> None:
    content = remote_auth(LOGIN)
    for length in range(len(content)):
        with pytest.raises(ArchiveDamagedError):
            unpacked(content[:length], tmp_path)
    assert os.listdir(tmp_path) == ["theirs.zip"]


def test_every_single_bit_is_damage_or_means_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "_bring_to_disk", lambda root: None)  # thousands of files
    small = {path: LOGIN[path] for path in (f"{DATABASE}/CURRENT", "Default/Local Storage/leveldb/000004.log")}
    content, harmless = remote_auth(small), 0
    for at in range(len(content) * 8):
        changed = bytearray(content)
        changed[at // 8] ^= 1 << at % 8
        try:
            assert unpacked(bytes(changed), tmp_path) == small, f"bit {at}"
            harmless += 1
        except ArchiveDamagedError:
            continue
    assert harmless < len(content) * 8 / 2


def test_a_full_disk_leaves_the_old_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_files(tmp_path / "out", {"old": b"profile"})
    monkeypatch.setattr(placing, "_bring_to_disk", full)
    with pytest.raises(UnavailableError):
        unpacked(remote_auth(LOGIN), tmp_path)
    assert content_of(tmp_path / "out") == {"old": b"profile"} and len(os.listdir(tmp_path)) == 2
