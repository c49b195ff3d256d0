"""Archives that are cut, changed, or made to do harm. None may ever give a wrong profile."""

import contextlib
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from daemon.core.errors import ArchiveDamagedError, ArchiveUnsafeError
from shards.archive.bounds import UnpackLimits
from shards.archive.head import read_head
from shards.archive.manifest import Manifest
from tests.unit.archive import conftest
from tests.unit.archive.conftest import ANY, Form, content_of, forge, manifest_json, seal

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)


def assert_refused(content: bytes, tmp_path: Path, error: type[ArchiveDamagedError] = ArchiveDamagedError) -> None:
    conftest.assert_refused(content, tmp_path, error)


@SHARED
@given(data=st.data())
def test_a_changed_bit_under_a_forged_seal_is_never_a_wrong_profile(
    snapshot_dir: Path, tmp_path: Path, data: st.DataObject
) -> None:
    form = Form(data.draw(st.sampled_from(["zip", "hot"])), tmp_path)
    body = form.pack(snapshot_dir)
    expected = form.verify(body)
    at = data.draw(st.integers(0, (len(body) - 64) * 8 - 1))
    changed = bytearray(body)
    changed[at // 8] ^= 1 << at % 8
    try:
        found = form.unpack(seal(bytes(changed)), tmp_path / "out", expected=ANY)
    except ArchiveDamagedError:
        return
    # Bits that mean nothing (times, modes) may change; and a manifest's own facts are only as good as the seal.
    digests = {path: sha256(content).hexdigest() for path, content in content_of(tmp_path / "out").items()}
    assert digests == {file.path: file.sha256 for file in found.files}
    if form.name == "zip":  # which has every name twice
        assert found.files == expected.files


@SHARED
@given(content=st.binary(max_size=400), magic=st.sampled_from([b"", b"PK\3\4", b"blazz-h1", b"blazz-e1"]))
@example(content=b"", magic=b"")
def test_any_bytes_are_a_typed_error(tmp_path: Path, content: bytes, magic: bytes) -> None:
    for body in (magic + content, seal(magic + content + b"blazz-sha256:" + b"0" * 64)):
        assert_refused(body, tmp_path)
        with contextlib.suppress(ArchiveDamagedError):
            read_head(body)


def test_bytes_before_or_after_the_archive_are_damage(archive: bytes, tmp_path: Path) -> None:
    for content in (b"x" + archive, archive + b"x", seal(b"x" + archive), archive[:-64] + archive[-64:].upper()):
        assert_refused(content, tmp_path)


PATHS = [
    "../evil", "a/../../evil", "/etc/evil", "a//b", "./a", "a/.", "..", "", "a\\..\\b", "a\0b", "a\nb", "x" * 300,
    "/".join(["d" * 200] * 8), "a/", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_could_leave_the_profile_are_unsafe(tmp_path: Path, path: str) -> None:
    def fill(made: zipfile.ZipFile) -> None:
        made.writestr("manifest.json", manifest_json([(path, b"x")]))
        made.writestr("profile/" + path.encode("utf-8", "replace").decode(), b"x")

    assert_refused(forge(fill), tmp_path, ArchiveUnsafeError if path != "\ud800" else ArchiveDamagedError)
    assert not (tmp_path.parent / "evil").exists()


def test_a_symbolic_link_is_unsafe(tmp_path: Path) -> None:
    def fill(made: zipfile.ZipFile) -> None:
        made.writestr("manifest.json", manifest_json([("link", b"/etc/passwd")]))
        entry = zipfile.ZipInfo("profile/link")
        entry.external_attr = 0o120777 << 16
        made.writestr(entry, b"/etc/passwd")

    assert_refused(forge(fill), tmp_path, ArchiveUnsafeError)


def test_a_directory_entry_is_unsafe(tmp_path: Path) -> None:
    def fill(made: zipfile.ZipFile) -> None:
        made.writestr("manifest.json", manifest_json([]))
        made.writestr("profile/folder/", b"")

    assert_refused(forge(fill), tmp_path, ArchiveUnsafeError)


def test_a_file_that_is_also_a_directory_is_unsafe(tmp_path: Path) -> None:
    def fill(made: zipfile.ZipFile) -> None:
        made.writestr("manifest.json", manifest_json([("a", b"x"), ("a/b", b"x")]))
        made.writestr("profile/a", b"x")
        made.writestr("profile/a/b", b"x")

    assert_refused(forge(fill), tmp_path, ArchiveUnsafeError)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("listed", "stored"),
    [
        (["a", "b"], ["a"]),
        (["a"], ["a", "b"]),
        (["a"], ["a", "a"]),
        (["a", "a"], ["a", "a"]),
        (["a", "b"], ["b", "a"]),
        (["b", "a"], ["b", "a"]),
    ],
    ids=["missing", "not-listed", "stored-twice", "listed-twice", "other-order", "not-sorted"],
)
def test_the_archive_holds_exactly_what_its_manifest_lists(
    tmp_path: Path, listed: list[str], stored: list[str]
) -> None:
    def fill(made: zipfile.ZipFile) -> None:
        made.writestr("manifest.json", manifest_json([(path, b"x") for path in listed]))
        for path in stored:
            made.writestr(f"profile/{path}", b"x")

    assert_refused(forge(fill), tmp_path)


def test_the_manifest_must_come_first(tmp_path: Path) -> None:
    def fill(made: zipfile.ZipFile) -> None:
        made.writestr("profile/a", b"x")
        made.writestr("manifest.json", manifest_json([("a", b"x")]))

    assert_refused(forge(fill), tmp_path)


def test_content_that_is_not_what_the_manifest_says_is_damage(tmp_path: Path) -> None:
    for content in (b"y", b"", b"xx"):

        def fill(made: zipfile.ZipFile, content: bytes = content) -> None:
            made.writestr("manifest.json", manifest_json([("a", b"x")]))
            made.writestr("profile/a", content)

        assert_refused(forge(fill), tmp_path)


def test_a_bomb_is_refused_by_what_it_declares_or_stopped_by_what_it_gives(tmp_path: Path) -> None:
    huge = b"\0" * 30_000_000

    def fill(made: zipfile.ZipFile) -> None:
        made.writestr("manifest.json", manifest_json([("a", huge)]))
        made.writestr("profile/a", huge, zipfile.ZIP_DEFLATED)

    content = forge(fill)
    assert len(content) < 100_000
    conftest.assert_refused(content, tmp_path, ArchiveUnsafeError, limits=UnpackLimits(max_total_bytes=1_000_000))

    def lie(made: zipfile.ZipFile) -> None:
        made.writestr("manifest.json", manifest_json([("a", b"small")]))
        made.writestr("profile/a", huge, zipfile.ZIP_DEFLATED)
        made.filelist[1].file_size = 5  # in the directory at the end, which is what readers go by

    assert_refused(forge(lie), tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2}, {"format": True}, {"token": -1}, {"token": "3"}, {"token": True}, {"token": 2**63},
        {"generation": None}, {"clean": 1}, {"chromium": "new"}, {"chromium": ""}, {"session_id": "../x"},
        {"workspace_id": ""}, {"user_id": 5}, {"created_at": "yesterday"}, {"created_at": 5},
        {"created_at": "2026-11-23T02:00:00"}, {"files": {}}, {"files": [{}]}, {"files": [5]}, {"more": 1},
        {"files": [{"path": "a", "size_bytes": 1, "sha256": "A" * 64}]},
        {"files": [{"path": "a", "size_bytes": -1, "sha256": "a" * 64}]},
        {"files": [{"path": 5, "size_bytes": 1, "sha256": "a" * 64}]},
    ],
)  # fmt: skip
def test_a_manifest_is_read_strictly(changes: dict[str, Any]) -> None:
    with pytest.raises(ArchiveDamagedError):
        Manifest.from_json(manifest_json([], **changes))


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"{", b"\xff", b"[" * 100_000, b'{"format": NaN}'])
def test_what_is_no_manifest_is_damage(content: bytes) -> None:
    with pytest.raises(ArchiveDamagedError):
        Manifest.from_json(content)


def test_a_manifest_survives_its_json() -> None:
    manifest = Manifest.from_json(manifest_json([("a", b"x"), ("b/c", b"")]))
    assert Manifest.from_json(manifest.to_json()) == manifest
