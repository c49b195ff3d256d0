"""Chromium's own lock on a profile (`SingletonLock` and its companions): when it may be removed.

Full Chromium refuses to start when the lock names another host, and hands over to the running one when it names a
living process. headless-shell neither makes nor reads the lock, so it is looked at here for both.
"""

import os
import socket
from pathlib import Path

from daemon.core.errors import BrowserError
from shards.browser.procfs import command_line

_LOCK = "SingletonLock"
_NAMES = (_LOCK, "SingletonCookie", "SingletonSocket")


def clear_stale_lock(profile_dir: Path) -> None:
    """Remove a lock that a dead Chromium of this host left behind.

    Raises:
        BrowserError: the lock belongs to a living Chromium or to another host; nothing was removed.
    """
    try:
        owner = os.readlink(profile_dir / _LOCK)
    except FileNotFoundError:
        owner = None
    except OSError as error:
        raise BrowserError(
            f"the profile's {_LOCK} is not a link: {error.strerror}",
            hint="remove the file if no Chromium uses this profile",
            profile=profile_dir,
        ) from error
    if owner is not None:
        _refuse_living(profile_dir, owner)
    for name in _NAMES:
        (profile_dir / name).unlink(missing_ok=True)


def _refuse_living(profile_dir: Path, owner: str) -> None:
    host, _, pid = owner.rpartition("-")
    if host != socket.gethostname():
        raise BrowserError(
            "the profile is locked by a Chromium on another host",
            hint=f"stop it there, or remove {_LOCK} if that host is gone",
            profile=profile_dir,
            lock=owner,
        )
    # The number can belong to something else by now, after a restart of the host at the latest. Only the last part
    # of the path is compared, because the other Chromium may have been given another spelling of it.
    if pid.isdigit() and profile_dir.name in command_line(int(pid)):
        raise BrowserError(
            "the profile is in use by another Chromium of this host",
            hint="end that process first",
            profile=profile_dir,
            pid=pid,
        )
