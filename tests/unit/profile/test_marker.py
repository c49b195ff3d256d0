"""A profile that was left clean can be used again, unless anything touched it."""

import os
from pathlib import Path

import pytest

from shards.profile.marker import LeftClean, mark_left_clean, read_left_clean, read_mark

LEFT = LeftClean(session_id="s", token=3, generation=7, chromium="156.0.1.2")


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    folder = tmp_path / "Default/IndexedDB/https_a_0.indexeddb.leveldb"
    folder.mkdir(parents=True)
    (folder / "000003.log").write_bytes(b"log")
    mark_left_clean(tmp_path, LEFT)
    return tmp_path


def log_of(profile: Path) -> Path:
    return profile / "Default/IndexedDB/https_a_0.indexeddb.leveldb/000003.log"


def test_the_mark_says_what_the_files_are(profile: Path) -> None:
    assert read_left_clean(profile) == LEFT
    assert LEFT.order == (3, 7)


def test_a_change_of_any_file_that_matters_makes_it_void(profile: Path) -> None:
    log_of(profile).write_bytes(b"log and more")
    assert read_left_clean(profile) is None
    assert read_mark(profile) == (LEFT, False), "what it grew out of is still known"


def test_a_file_that_came_or_went_makes_it_void(profile: Path) -> None:
    log_of(profile).unlink()
    assert read_left_clean(profile) is None


def test_the_same_size_at_another_time_makes_it_void(profile: Path) -> None:
    os.utime(log_of(profile), ns=(1, 1))
    assert read_left_clean(profile) is None


def test_caches_do_not_matter(profile: Path) -> None:
    (profile / "Default/Cache").mkdir()
    (profile / "Default/Cache/data_0").write_bytes(b"x")
    assert read_left_clean(profile) == LEFT


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"token": 1}', b"\xff"])
def test_a_mark_that_cannot_be_read_is_none(profile: Path, content: bytes) -> None:
    (profile / "blazz-left-clean.json").write_bytes(content)
    assert read_left_clean(profile) is None
