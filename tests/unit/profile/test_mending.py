"""What is done to a profile whose Chromium was killed before the next Chromium may open it."""

from pathlib import Path

import pytest

from daemon.core.errors import DamagedError
from shards.profile.mending import mend
from tests.unit.profile.leveldb_files import database, edit, log, log_file

DATABASE = "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb"
STORAGE = "Default/Local Storage/leveldb"
MANIFEST = log_file([edit(log=7, new=[6])])


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    for path in (DATABASE, STORAGE):
        database(tmp_path / path, tables=[6], logs=[3, 7, 9], manifest=MANIFEST)
    return tmp_path


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_whole_profile_is_left_as_it_is(profile: Path) -> None:
    before = content(profile)
    assert mend(profile) == ()
    assert content(profile) == before


def test_an_empty_profile_is_no_error(tmp_path: Path) -> None:
    assert mend(tmp_path) == ()


def test_torn_ends_are_cut_off_and_nothing_else(profile: Path) -> None:
    before = content(profile)
    for path, torn in ((f"{DATABASE}/000009.log", b"\x01\x02"), (f"{STORAGE}/MANIFEST-000001", b"\0" * 9)):
        with (profile / path).open("ab") as file:
            file.write(torn)
    assert mend(profile) == (f"{STORAGE}/MANIFEST-000001", f"{DATABASE}/000009.log")
    assert content(profile) == before
    assert mend(profile) == ()


def test_an_older_log_that_a_power_cut_tore_is_opened_as_leveldb_opens_it(profile: Path) -> None:
    (profile / DATABASE / "000007.log").write_bytes(log(7)[:-1])
    assert mend(profile) == ()


@pytest.mark.parametrize("name", ["CURRENT", "000006.ldb", "000007.log", "MANIFEST-000001"])
def test_a_profile_that_chromium_would_empty_is_not_for_use(profile: Path, name: str) -> None:
    (profile / DATABASE / name).unlink()
    with pytest.raises(DamagedError):
        mend(profile)


def test_what_was_appended_to_a_torn_record_is_found(profile: Path) -> None:
    (profile / DATABASE / "000009.log").write_bytes(log(9)[:-10] + log(9))
    with pytest.raises(DamagedError, match=r"000009\.log"):
        mend(profile)
