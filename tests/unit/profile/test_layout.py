"""Where profiles are kept."""

import stat
from pathlib import Path

import pytest

from daemon.core.errors import InvalidInputError
from shards.profile.layout import ShardLayout


@pytest.fixture
def layout(tmp_path: Path) -> ShardLayout:
    return ShardLayout(tmp_path / "profiles", "shard_00")


def test_directories_are_private_and_below_the_root(layout: ShardLayout, tmp_path: Path) -> None:
    assert layout.profile_dir("s-1") == tmp_path / "profiles/shard_00/sessions/s-1"
    made = (tmp_path / "profiles", layout.root, layout.sessions_dir, layout.tmp_dir)
    for path in (*made, layout.reset_profile("s-1")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize("session_id", ["..", ".", "", "a/b", "/etc", ".hidden", "a\0b", "a" * 101, "x.new"])
def test_an_id_cannot_leave_its_place(layout: ShardLayout, session_id: str) -> None:
    for use in (layout.profile_dir, layout.reset_profile, layout.remove_profile):
        with pytest.raises(InvalidInputError):
            use(session_id)


def test_a_profile_that_is_a_link_is_refused(layout: ShardLayout, tmp_path: Path) -> None:
    (layout.sessions_dir / "s-1").symlink_to(tmp_path)
    with pytest.raises(InvalidInputError):
        layout.remove_profile("s-1")


def test_reset_leaves_an_empty_profile_and_remove_none(layout: ShardLayout) -> None:
    (layout.reset_profile("s-1") / "file").touch()
    assert list(layout.reset_profile("s-1").iterdir()) == []
    assert layout.session_ids() == ("s-1",)
    layout.remove_profile("s-1")
    layout.remove_profile("s-1")
    assert layout.session_ids() == () and list(layout.sessions_dir.iterdir()) == []


def test_a_temporary_directory_is_gone_even_after_a_failure(layout: ShardLayout) -> None:
    with pytest.raises(RuntimeError), layout.temporary("snapshot") as work:
        (work / "file").touch()
        raise RuntimeError
    assert list(layout.tmp_dir.iterdir()) == []


def test_sweep_removes_what_a_killed_process_left_and_no_profile(layout: ShardLayout) -> None:
    layout.reset_profile("s-1")
    for path in (layout.tmp_dir / "snapshot-x/deep", layout.sessions_dir / ".s-1.abc.new/Default"):
        path.mkdir(parents=True)
    (layout.tmp_dir / "file").touch()
    assert layout.sweep() == 3
    assert [path.name for path in layout.sessions_dir.iterdir()] == ["s-1"]
    assert list(layout.tmp_dir.iterdir()) == []
