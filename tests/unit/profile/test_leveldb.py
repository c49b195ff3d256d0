"""The ordered copy of a LevelDB directory: what is taken, and that a moving database is copied again or not at all."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.errors import SnapshotError
from shards.profile import leveldb
from shards.profile.leveldb import copy_leveldb
from shards.profile.leveldb_manifest import read_manifest, read_records
from tests.unit.profile.leveldb_files import database, edit, log_file

MANIFEST = log_file([edit(comparator=b"idb_cmp1", log=3, prev=0), edit(log=7, new=[5, 6]), edit(deleted=[5], new=[8])])


def names(path: Path) -> set[str]:
    return set(os.listdir(path))


def test_a_manifest_says_what_is_live() -> None:
    live = read_manifest(MANIFEST)
    assert (live.tables, live.log_number, live.prev_log_number) == (frozenset({6, 8}), 7, 0)
    assert live.manifest_bytes == len(MANIFEST)


@given(st.lists(st.binary(max_size=90_000), max_size=5))
def test_records_of_any_size_are_read_back(records: list[bytes]) -> None:
    assert [record for record, _ in read_records(log_file(records))] == records


@given(st.data())
def test_a_torn_end_leaves_the_whole_records_before_it(data: st.DataObject) -> None:
    content = log_file([b"one", b"two" * 20_000, b"three"])
    cut = data.draw(st.integers(0, len(content)))
    found = list(read_records(content[:cut]))
    assert [record for record, _ in found] == [b"one", b"two" * 20_000, b"three"][: len(found)]
    assert all(end <= cut for _, end in found)


@given(st.binary(max_size=300))
def test_a_file_that_is_no_manifest_is_a_typed_error_or_reads(content: bytes) -> None:
    with contextlib.suppress(SnapshotError):
        read_manifest(content)


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
    assert (tmp_path / "copy/000008.ldb").read_bytes() == b"table 8"


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
        (source / "000011.ldb").write_bytes(b"table 11")
        (source / "MANIFEST-000001").write_bytes(MANIFEST + log_file([edit(deleted=[6, 8], new=[11])]))
        (source / "000006.ldb").unlink()
        (source / "000008.ldb").unlink()
        real(one, other)

    monkeypatch.setattr(leveldb, "link_or_copy", compact_first)
    copy_leveldb(source, tmp_path / "copy")
    assert {"000011.ldb", "000007.log"} < names(tmp_path / "copy")


def test_a_log_made_during_the_copy_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)
    real = shutil.copyfile

    def next_log(one: Path, other: Path) -> None:
        (source / "000012.log").write_bytes(b"follows what 7 says after it was copied")
        real(one, other)

    monkeypatch.setattr(shutil, "copyfile", next_log)
    copy_leveldb(source, tmp_path / "copy")
    assert "000012.log" not in names(tmp_path / "copy")


def test_a_new_manifest_during_the_copy_is_copied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = database(tmp_path / "db", tables=[6, 8], logs=[7], manifest=MANIFEST)
    real = shutil.copyfile

    def reopen(one: Path, other: Path) -> None:
        (source / "MANIFEST-000020").write_bytes(MANIFEST)
        (source / "CURRENT").write_bytes(b"MANIFEST-000020\n")
        real(one, other)

    monkeypatch.setattr(shutil, "copyfile", reopen)
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
