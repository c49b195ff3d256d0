"""LevelDB's log format: whole records are read back, a torn end is not damage, and everything else is."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.profile.leveldb_log import DamagedFileError, masked_crc, parts, records
from shards.profile.leveldb_manifest import read_manifest
from tests.unit.profile.leveldb_files import BLOCK, edit, log_file

RECORDS = [b"one", b"two" * 30_000, b"", b"three" * 2_000, b"x" * 32_000]
CONTENT = log_file(RECORDS)
MANIFEST = log_file([edit(comparator=b"idb_cmp1", log=3, prev=0), edit(log=7, new=[5, 6]), edit(deleted=[5], new=[8])])


def read(content: bytes) -> list[bytes]:
    return [record for record, _ in records(content)]


def test_the_checksum_is_the_one_that_leveldb_writes() -> None:
    # The MANIFEST-000001 that Chromium makes for a new IndexedDB.
    made = bytes.fromhex("e4d68eee10000101086964625f636d7031020003020400")
    assert read(made) == [b"\x01\x08idb_cmp1\x02\x00\x03\x02\x04\x00"]
    assert masked_crc(made[6:]) == 0xEE8ED6E4


@given(st.lists(st.binary(max_size=90_000), max_size=5))
def test_records_of_any_size_are_read_back(content: list[bytes]) -> None:
    assert read(log_file(content)) == content


@given(st.integers(0, len(CONTENT)))
def test_a_torn_end_leaves_the_whole_records_before_it(cut: int) -> None:
    found = list(records(CONTENT[:cut]))
    assert [record for record, _ in found] == RECORDS[: len(found)]
    assert all(end <= cut for _, end in found)
    assert len(found) == len(RECORDS) or len(CONTENT[:cut]) < len(CONTENT)


@given(st.integers(0, len(CONTENT)), st.integers(0, 2 * BLOCK))
def test_zeros_at_the_end_are_a_torn_end(cut: int, zeros: int) -> None:
    found = []
    with contextlib.suppress(DamagedFileError):  # zeros inside a record whose header was written are a wrong checksum
        for record in records(CONTENT[:cut] + bytes(zeros)):
            found.append(record[0])
    assert found == RECORDS[: len(found)]


def test_whole_records_and_then_zeros_are_all_read() -> None:
    for zeros in (1, 6, 7, 8, BLOCK, 3 * BLOCK):
        assert read(CONTENT + bytes(zeros)) == RECORDS


def test_zeros_between_records_are_damage() -> None:
    for zeros in (7, 40_000):
        with pytest.raises(DamagedFileError):
            read(log_file([b"a"]) + bytes(zeros) + log_file([b"b"]))


@given(st.integers(0, 8 * len(CONTENT) - 1))
def test_no_flipped_bit_gives_another_record(bit: int) -> None:
    content = bytearray(CONTENT)
    content[bit // 8] ^= 1 << bit % 8
    found = []
    with contextlib.suppress(DamagedFileError):
        for record, _ in records(bytes(content)):
            found.append(record)
    assert found == RECORDS[: len(found)]


@pytest.mark.parametrize("bit", range(8 * 3))
def test_a_flipped_bit_in_a_content_is_damage(bit: int) -> None:
    content = bytearray(CONTENT)
    content[7 + bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedFileError):
        read(bytes(content))


def test_what_is_appended_to_a_torn_record_is_damage() -> None:
    with pytest.raises(DamagedFileError):
        read(log_file([b"x" * 1000])[:-10] + log_file([b"appended by the next Chromium"]))


def test_parts_out_of_order_are_damage() -> None:
    two_blocks = log_file([b"x" * 40_000])
    with pytest.raises(DamagedFileError):
        read(two_blocks[BLOCK:])
    with pytest.raises(DamagedFileError):
        read(two_blocks[:BLOCK] + log_file([b"a whole one"]))


def test_parts_are_handed_out_one_by_one() -> None:
    pieces = [CONTENT[at : at + BLOCK] for at in range(0, len(CONTENT), BLOCK)]
    assert max(len(part.content) for part in parts(pieces)) < BLOCK


def test_a_manifest_says_what_is_live() -> None:
    live = read_manifest(MANIFEST)
    assert (live.tables, live.log_number, live.prev_log_number) == ({6: 2048, 8: 2048}, 7, 0)
    assert live.manifest_bytes == len(MANIFEST)


@given(st.binary(max_size=300))
def test_a_file_that_is_no_manifest_is_a_typed_error(content: bytes) -> None:
    for file in (content, log_file([content])):
        with pytest.raises(DamagedFileError):
            read_manifest(file)


def test_a_manifest_that_leveldb_would_refuse_is_damage() -> None:
    for content in (b"", log_file([edit()]), log_file([edit(log=3) + b"\x08\x01"])):
        with pytest.raises(DamagedFileError):
            read_manifest(content)
