"""Caches are used only by the Chromium that wrote them, and never backed up."""

from pathlib import Path

from shards.profile.caches import CACHE_DIRS, caches_of, chromium_key, note_chromium
from shards.profile.files import relevant_files

KEY = chromium_key("156.0.8078.79", Path("/usr/lib/chromium/chromium-headless-shell"))


def profile_with_caches(root: Path) -> Path:
    for name in CACHE_DIRS:
        (root / name).mkdir(parents=True)
        (root / name / "file").write_bytes(b"cached")
    return root


def test_caches_are_of_the_chromium_that_was_noted(tmp_path: Path) -> None:
    profile = profile_with_caches(tmp_path)
    assert caches_of(profile, KEY) == ()
    note_chromium(profile, KEY)
    assert caches_of(profile, KEY) == CACHE_DIRS
    for other in (("156.0.8078.80", "chromium-headless-shell"), ("156.0.8078.79", "chromium")):
        assert caches_of(profile, chromium_key(other[0], Path(other[1]))) == ()


def test_only_the_caches_that_are_there_are_named(tmp_path: Path) -> None:
    (tmp_path / CACHE_DIRS[1]).mkdir(parents=True)
    note_chromium(tmp_path, KEY)
    assert caches_of(tmp_path, KEY) == (CACHE_DIRS[1],)


def test_a_note_that_is_damaged_or_cannot_be_written_means_no_caches(tmp_path: Path) -> None:
    profile = profile_with_caches(tmp_path / "profile")
    note_chromium(profile, KEY)
    (note,) = [path for path in profile.iterdir() if path.is_file()]
    for damaged in (b"", b"\xff\xfe", KEY.encode()[:-1], KEY.encode() + b"x"):
        note.write_bytes(damaged)
        assert caches_of(profile, KEY) == ()
    note_chromium(tmp_path / "none", KEY)
    assert caches_of(tmp_path / "none", KEY) == ()


def test_neither_caches_nor_the_note_are_backed_up(tmp_path: Path) -> None:
    note_chromium(profile_with_caches(tmp_path), KEY)
    assert list(relevant_files(tmp_path)) == []
