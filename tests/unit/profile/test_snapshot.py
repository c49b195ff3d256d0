"""Snapshots of profiles that tests write themselves."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from daemon.core.errors import SnapshotError
from shards.profile import blobs, files, snapshot
from shards.profile.blobs import may_have_missed, take_blobs
from shards.profile.cookies import copy_live_cookies
from shards.profile.files import relevant_files
from shards.profile.snapshot import fingerprint, take_clean, take_live
from tests.unit.profile.leveldb_files import database, edit, log_file

DATABASE = "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb"
BLOBS = "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.blob"
MANIFEST = log_file([edit(log=7, new=[6])])


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    root = tmp_path / "profile"
    for path in (DATABASE, "Default/Local Storage/leveldb"):
        database(root / path, tables=[6], logs=[7], manifest=MANIFEST)
    write(root, f"{BLOBS}/1/00/2a", b"blob")
    sqlite3.connect(root / "Default/Cookies").execute("create table cookies (name)").connection.close()
    (root / "Default/Cookies-journal").touch()
    for path in ("SingletonLock", "Default/Cache/data_0", "Default/Service Worker/x", "DevToolsActivePort"):
        write(root, path, b"not state")
    return root


def write(root: Path, path: str, content: bytes) -> Path:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)
    return root / path


def test_a_live_snapshot_holds_state_and_extra_files_only(profile: Path, tmp_path: Path) -> None:
    taken = take_live(profile, tmp_path / "copy", extra={"overlay.json": b"{}"})
    live = {f"{d}/{n}" for d in (DATABASE, "Default/Local Storage/leveldb")
            for n in ("CURRENT", "MANIFEST-000001", "000006.ldb", "000007.log")}  # fmt: skip
    assert set(taken.paths) == live | {f"{BLOBS}/1/00/2a", "Default/Cookies", "overlay.json"}
    assert taken.size_bytes == sum((taken.root / path).stat().st_size for path in taken.paths)


def test_a_clean_snapshot_takes_the_cookie_journal_too(profile: Path, tmp_path: Path) -> None:
    write(profile, "Default/Cookies-journal", b"half a transaction")
    assert "Default/Cookies-journal" in take_clean(profile, tmp_path / "copy").paths


def test_an_empty_profile_gives_an_empty_snapshot(tmp_path: Path) -> None:
    (tmp_path / "profile").mkdir()
    assert take_live(tmp_path / "profile", tmp_path / "copy", extra={}).paths == ()


def test_a_damaged_database_leaves_nothing_behind(profile: Path, tmp_path: Path) -> None:
    (profile / DATABASE / "000006.ldb").unlink()
    for take in (take_live, take_clean):
        with pytest.raises(SnapshotError):
            take(profile, tmp_path / "copy", extra={})
        assert not (tmp_path / "copy").exists()


def test_an_indexeddb_in_a_form_that_is_not_known_is_never_left_out_silently(profile: Path, tmp_path: Path) -> None:
    write(profile, "Default/IndexedDB/https_web.whatsapp.com_0/LN6UVJCI6MOL35QN", b"SQLite format 3")
    for take in (take_live, take_clean):
        with pytest.raises(SnapshotError, match="form that is not known"):
            take(profile, tmp_path / "copy", extra={})
        assert not (tmp_path / "copy").exists()


def test_a_blob_that_cannot_be_linked_is_copied_again_when_it_grew(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    take_blobs(profile, tmp_path / "copy", BLOBS)
    write(profile, f"{BLOBS}/1/00/2a", b"blob that grew")
    take_blobs(profile, tmp_path / "copy", BLOBS)
    assert (tmp_path / "copy" / f"{BLOBS}/1/00/2a").read_bytes() == b"blob that grew"
    assert os.listdir(tmp_path / "copy" / BLOBS / "1/00") == ["2a"]


def test_a_blob_written_during_the_copy_is_in_the_snapshot(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = snapshot.copy_leveldb

    def write_meanwhile(source: Path, target: Path) -> bool:
        if source.name.endswith(".indexeddb.leveldb"):
            write(profile, f"{BLOBS}/1/00/2b", b"named by the copied database")
            (profile / f"{BLOBS}/1/00/2a").unlink(missing_ok=True)
        return real(source, target)

    monkeypatch.setattr(snapshot, "copy_leveldb", write_meanwhile)
    paths = take_live(profile, tmp_path / "copy", extra={}).paths
    assert {f"{BLOBS}/1/00/2a", f"{BLOBS}/1/00/2b"} <= set(paths)


def test_a_blob_that_came_and_went_during_the_copy_makes_it_begin_again(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = snapshot.copy_leveldb, []

    def come_and_go(source: Path, target: Path) -> bool:
        if source.name.endswith(".indexeddb.leveldb"):
            calls.append(source)
            write(profile, f"{BLOBS}/1/00/{0x2A + 2 * len(calls) if len(calls) < 3 else 0x2E:02x}", b"2b is missing")
        return real(source, target)

    monkeypatch.setattr(snapshot, "copy_leveldb", come_and_go)
    take_live(profile, tmp_path / "copy", extra={})
    assert len(calls) == 3


def test_a_blob_that_was_listed_and_is_gone_before_it_is_linked_makes_it_begin_again(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, looks = snapshot.take_blobs, []

    def look_with_a_late_link(source: Path, target: Path, below: str) -> bool:
        looks.append(below)
        if len(looks) == 2:
            gone = f"{BLOBS}/1/00/2b"
            monkeypatch.setattr(blobs, "blob_files", lambda root, _: iter([gone, f"{BLOBS}/1/00/2a"]))
            try:
                return real(source, target, below)
            finally:
                monkeypatch.setattr(blobs, "blob_files", files.blob_files)
        return real(source, target, below)

    monkeypatch.setattr(snapshot, "take_blobs", look_with_a_late_link)
    paths = take_live(profile, tmp_path / "copy", extra={}).paths
    assert len(looks) == 4
    assert f"{BLOBS}/1/00/2a" in paths


def test_a_blob_that_was_taken_before_and_is_gone_now_is_no_reason_to_begin_again(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert take_blobs(profile, tmp_path / "copy", BLOBS)
    (profile / f"{BLOBS}/1/00/2a").unlink()
    monkeypatch.setattr(blobs, "blob_files", lambda root, _: iter([f"{BLOBS}/1/00/2a"]))
    assert take_blobs(profile, tmp_path / "copy", BLOBS)


def test_a_blob_still_being_written_does_not_change_in_the_snapshot(profile: Path, tmp_path: Path) -> None:
    take_live(profile, tmp_path / "copy", extra={})
    with (profile / f"{BLOBS}/1/00/2a").open("ab") as file:
        file.write(b" grows")
    assert (tmp_path / "copy" / f"{BLOBS}/1/00/2a").read_bytes() == b"blob"


@pytest.mark.parametrize(
    ("before", "after", "missed"),
    [
        (set(), set(), False),
        ({1}, {1}, False),
        ({1, 2}, {1, 2, 3, 4}, False),
        ({1, 2}, {1, 2, 4}, True),
        (set(), {5, 6}, False),
        (set(), {5, 7}, True),
        ({9}, {9, 2}, False),
    ],
)
def test_a_gap_among_new_blob_numbers_may_be_a_missed_blob(before: set[int], after: set[int], missed: bool) -> None:
    assert may_have_missed({"1": frozenset(before)}, {"1": frozenset(after)}) is missed


def test_cookies_in_the_middle_of_a_write_are_left_out(profile: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(profile / "Default/Cookies", isolation_level=None)
    connection.execute("pragma journal_mode=truncate")
    connection.execute("pragma cache_size=1")
    connection.execute("begin immediate")
    connection.execute("insert into cookies values (hex(randomblob(200000)))")
    try:
        assert "Default/Cookies" not in take_live(profile, tmp_path / "copy", extra={}).paths
    finally:
        connection.close()
    copy_live_cookies(profile, tmp_path / "copy")
    assert sqlite3.connect(tmp_path / "copy/Default/Cookies").execute("pragma integrity_check").fetchone() == ("ok",)


def test_the_fingerprint_changes_with_what_counts_and_with_nothing_else(profile: Path) -> None:
    before = fingerprint(profile)
    write(profile, "Default/Cache/data_0", b"more cache")
    (profile / DATABASE / "LOG").write_text("more for people")
    assert fingerprint(profile) == before
    log = profile / DATABASE / "000007.log"
    log.write_bytes(log.read_bytes() + b"x")
    changed = fingerprint(profile)
    assert changed != before
    os.utime(profile / f"{BLOBS}/1/00/2a", ns=(1, 1))
    assert fingerprint(profile) != changed


def test_symbolic_links_are_not_followed(profile: Path, tmp_path: Path) -> None:
    secret = write(tmp_path, "secret", b"secret")
    (profile / f"{BLOBS}/1/00/2c").symlink_to(secret)
    (profile / "Default/IndexedDB/evil.indexeddb.leveldb").symlink_to(profile / DATABASE)
    found = set(relevant_files(profile))
    assert f"{BLOBS}/1/00/2c" not in found and not any("evil" in path for path in found)


def test_extra_files_cannot_leave_the_snapshot(profile: Path, tmp_path: Path) -> None:
    for name in ("../x", "/x", ".x", "a/b"):
        with pytest.raises(ValueError, match="plain file name"):
            take_live(profile, tmp_path / "copy", extra={name: b""})
        assert not (tmp_path / "copy").exists()
