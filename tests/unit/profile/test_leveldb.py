"""The ordered copy of a LevelDB directory: what is taken, and that a moving database is copied again or not at all."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from daemon.core.errors import SnapshotError
from shards.profile import leveldb, leveldb_files
from tests.unit.profile.leveldb_files import TABLE_BYTES, database, edit, log, log_file, table

MANIFEST = log_file([edit(comparator=b"idb_cmp1", log=3, prev=0), edit(log=7, new=[5, 6]), edit(deleted=[5], new=[8])])

copy_leveldb = partial(leveldb.copy_leveldb, pause=lambda _: None)


def names(path: Path) -> set[str]:
    return set(os.listdir(path))


def before_first_log(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen when a log is about to be copied for the first time."""
    real = leveldb.copy_log

    def copy_log(one: Path, other: Path, *, may_be_torn: bool) -> None:
        monkeypatch.setattr(leveldb, "copy_log", real)
        happens()
        real(one, other, may_be_torn=may_be_torn)

    monkeypatch.setattr(leveldb, "copy_log", copy_log)


def damage(path: Path, at: int = 20) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_only_live_files_are_copied(tmp_path: Path) -> None:
    source = database(tmp_path / "db", tables=[5, 6, 8, 9], logs=[3, 7, 10], manifest=MANIFEST)
    assert copy_leveldb(source, tmp_path / "copy")
    assert names(tmp_path / "copy") == {
        "CURRENT", "MANIFEST-000001", "000006.ldb", "000008.ldb", "000007.log", "000010.log"
    }  # fmt: skip


def test_tables_are_linked_and_logs_are_not(tmp_path: Path) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)
    copy_leveldb(source, tmp_path / "copy")
    assert (tmp_path / "copy/000006.ldb").samefile(source / "000006.ldb")
    assert not (tmp_path / "copy/000007.log").samefile(source / "000007.log")


def test_the_copied_manifest_ends_with_the_last_whole_record(tmp_path: Path) -> None:
    torn = MANIFEST + log_file([edit(new=[99])])[:-3]
    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=torn)
    copy_leveldb(source, tmp_path / "copy")
    assert (tmp_path / "copy/MANIFEST-000001").read_bytes() == MANIFEST


def test_where_links_cannot_be_made_tables_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)
    monkeypatch.setattr(os, "link", refuse)
    copy_leveldb(source, tmp_path / "copy")
    assert (tmp_path / "copy/000008.ldb").read_bytes() == table(8)


@pytest.mark.parametrize(
    ("found", "copied"),
    [
        (log(7), log(7)),
        (log(7) + b"\x01\x02", log(7)),
        (log(7) + b"\0" * 50_000, log(7)),
        (log(7) + log_file([b"x" * 100])[:-1], log(7)),
        (log_file([b"first", b"x" * 60_000])[:-1], log_file([b"first"])),
        (log_file([b"x" * 60_000])[:32768], b""),
        (b"", b""),
    ],
)
def test_a_log_that_is_being_appended_to_is_copied_up_to_its_last_whole_record(
    tmp_path: Path, found: bytes, copied: bytes
) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)
    (source / "000007.log").write_bytes(found)
    copy_leveldb(source, tmp_path / "copy")
    assert (tmp_path / "copy/000007.log").read_bytes() == copied


def test_a_log_that_grows_while_it_is_read_is_copied_as_it_was(tmp_path: Path) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)
    growing = source / "000007.log"

    with growing.open("rb") as opened, growing.open("ab") as page:
        blocks = leveldb_files._blocks(opened, growing.stat().st_size)
        first = next(blocks)
        page.write(log_file([b"more"]))
        page.flush()
        assert first + b"".join(blocks) == log(7)


def test_an_older_log_that_ends_inside_a_record_is_damage(tmp_path: Path) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7, 9], manifest=MANIFEST)
    (source / "000007.log").write_bytes(log(7)[:-1])
    with pytest.raises(SnapshotError, match=r"damaged: 000007\.log: ends inside a record"):
        copy_leveldb(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_newest_log_may_be_torn_even_when_it_is_not_in_use_yet(tmp_path: Path) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7, 9], manifest=MANIFEST)
    (source / "000009.log").write_bytes(log(9)[:-1])
    assert copy_leveldb(source, tmp_path / "copy")


@pytest.mark.parametrize(
    ("name", "at"), [("000007.log", 20), ("000009.log", 20), ("MANIFEST-000001", 20), ("000006.ldb", TABLE_BYTES - 1)]
)
def test_a_damaged_file_is_told_from_a_busy_database(tmp_path: Path, name: str, at: int) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7, 9], manifest=MANIFEST)
    damage(source / name, at)
    with pytest.raises(SnapshotError, match=f"database is damaged: {name}"):
        copy_leveldb(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("size", [0, 47, TABLE_BYTES - 1, TABLE_BYTES + 1])
def test_a_table_of_another_size_is_damage(tmp_path: Path, size: int) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)
    (source / "000008.ldb").write_bytes(table(8).rjust(TABLE_BYTES + 1)[-size:] if size else b"")
    with pytest.raises(SnapshotError, match="damaged: 000008.ldb"):
        copy_leveldb(source, tmp_path / "copy")


def test_what_looked_damaged_for_a_moment_is_copied(tmp_path: Path) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7, 9], manifest=MANIFEST)
    (source / "000007.log").write_bytes(log(7)[:-1])
    pauses: list[float] = []

    def heal(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 3:
            (source / "000007.log").write_bytes(log(7))

    assert leveldb.copy_leveldb(source, tmp_path / "copy", pause=heal)
    assert len(pauses) == 3 and pauses == sorted(set(pauses))


def test_pauses_grow_and_are_bounded(tmp_path: Path) -> None:
    source = database(tmp_path / "db", tables=[6], logs=[7], manifest=MANIFEST)
    pauses: list[float] = []
    with pytest.raises(SnapshotError, match="did not hold still: table 8 is gone"):
        leveldb.copy_leveldb(source, tmp_path / "copy", pause=pauses.append)
    assert pauses == sorted(pauses) and sum(pauses) < 1.6


def test_a_database_without_its_current_is_not_taken_for_none(tmp_path: Path) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)
    (source / "CURRENT").unlink()
    with pytest.raises(SnapshotError, match="CURRENT is missing"):
        copy_leveldb(source, tmp_path / "copy")


def test_a_full_disk_is_a_typed_error_that_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)
    monkeypatch.setattr(leveldb, "copy_log", full)
    with pytest.raises(SnapshotError, match="No space left"):
        copy_leveldb(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("missing", ["000006.ldb", "000007.log"])
def test_a_database_that_lacks_a_live_file_is_not_copied(tmp_path: Path, missing: str) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)
    (source / missing).unlink()
    with pytest.raises(SnapshotError):
        copy_leveldb(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_compaction_during_the_copy_is_copied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)
    real = leveldb.link_or_copy

    def compact_first(one: Path, other: Path) -> None:
        monkeypatch.setattr(leveldb, "link_or_copy", real)
        (source / "000011.ldb").write_bytes(table(11))
        (source / "MANIFEST-000001").write_bytes(MANIFEST + log_file([edit(deleted=[6, 8], new=[11])]))
        (source / "000006.ldb").unlink()
        (source / "000008.ldb").unlink()
        real(one, other)

    monkeypatch.setattr(leveldb, "link_or_copy", compact_first)
    copy_leveldb(source, tmp_path / "copy")
    assert {"000011.ldb", "000007.log"} < names(tmp_path / "copy")


def test_a_log_made_during_the_copy_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)

    def next_log() -> None:
        (source / "000012.log").write_bytes(b"follows what 7 says after it was copied")

    before_first_log(monkeypatch, next_log)
    copy_leveldb(source, tmp_path / "copy")
    assert "000012.log" not in names(tmp_path / "copy")


def test_a_new_manifest_during_the_copy_is_copied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)

    def reopen() -> None:
        (source / "MANIFEST-000020").write_bytes(MANIFEST)
        (source / "CURRENT").write_bytes(b"MANIFEST-000020\n")

    before_first_log(monkeypatch, reopen)
    copy_leveldb(source, tmp_path / "copy")
    assert (tmp_path / "copy/CURRENT").read_bytes() == b"MANIFEST-000020\n"


def test_a_database_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    assert not copy_leveldb(tmp_path / "none", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("current", [b"", b"MANIFEST-000001", b"../evil\n", b"MANIFEST-../../x\n", b"\xff\n"])
def test_a_strange_current_is_a_typed_error(tmp_path: Path, current: bytes) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)
    (source / "CURRENT").write_bytes(current)
    with pytest.raises(SnapshotError):
        copy_leveldb(source, tmp_path / "copy")
