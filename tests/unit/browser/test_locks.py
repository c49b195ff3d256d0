"""When a lock of Chromium's on a profile may be removed."""

import os
import socket
from pathlib import Path

import pytest

from daemon.core.errors import BrowserError
from shards.browser import locks
from shards.browser.locks import clear_stale_lock

_NO_SUCH_PID = 4194304


def _lock(profile: Path, owner: str) -> None:
    (profile / "SingletonLock").symlink_to(owner)
    (profile / "SingletonCookie").symlink_to("1")
    (profile / "SingletonSocket").symlink_to("/tmp/none/SingletonSocket")


def _left(profile: Path) -> list[str]:
    return sorted(path.name for path in profile.iterdir())


def test_a_lock_of_a_dead_process_of_this_host_goes_with_its_companions(tmp_path: Path) -> None:
    _lock(tmp_path, f"{socket.gethostname()}-{_NO_SUCH_PID}")
    clear_stale_lock(tmp_path)
    assert _left(tmp_path) == []


def test_a_lock_whose_number_belongs_to_something_else_now_is_stale(tmp_path: Path) -> None:
    _lock(tmp_path, f"{socket.gethostname()}-{os.getpid()}")
    clear_stale_lock(tmp_path)
    assert _left(tmp_path) == []


def test_another_hosts_lock_stays(tmp_path: Path) -> None:
    _lock(tmp_path, f"elsewhere-{_NO_SUCH_PID}")
    with pytest.raises(BrowserError, match="another host") as caught:
        clear_stale_lock(tmp_path)
    assert len(_left(tmp_path)) == 3
    assert "SingletonLock" in caught.value.hint


def test_a_living_chromiums_lock_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _lock(tmp_path, f"{socket.gethostname()}-77")
    monkeypatch.setattr(locks, "command_line", lambda pid: f"chromium --user-data-dir={tmp_path}")
    with pytest.raises(BrowserError, match="in use"):
        clear_stale_lock(tmp_path)
    assert len(_left(tmp_path)) == 3


def test_no_lock_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "Default").mkdir()
    clear_stale_lock(tmp_path)
    clear_stale_lock(tmp_path / "not made yet")
    assert _left(tmp_path) == ["Default"]
