"""Copying Chromium's cookie database (SQLite, rollback journal) while Chromium may be writing it.

Chromium writes it about every 30 s, so it nearly always lies still. A copy counts only if it is proven that nothing
was written meanwhile: the journal is empty before and after, and the file has the same size, time and change counter.
Chromium is not asked for a lock: it would drop its own write if it met one.
"""

import os
import shutil
from pathlib import Path

from shards.profile.copying import same_file_state
from shards.profile.files import COOKIE_FILES, JOURNAL_SUFFIX

_ATTEMPTS = 3
_CHANGE_COUNTER = slice(24, 28)
"""In SQLite's file header; grows with every transaction (sqlite.org/fileformat2.html)."""


def copy_live_cookies(profile_dir: Path, into: Path) -> None:
    """Copy the cookie database if it lies still, else leave it out: the live cookies travel in the overlay."""
    for cookies in COOKIE_FILES:
        source, target = profile_dir / cookies, into / cookies
        if not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if not any(_copied_still(source, target) for _ in range(_ATTEMPTS)):
            target.unlink(missing_ok=True)


def copy_closed_cookies(profile_dir: Path, into: Path) -> None:
    """Copy the cookie database of an exited Chromium with its journal, which SQLite needs to undo a torn write."""
    for cookies in COOKIE_FILES:
        for path in (cookies, cookies + JOURNAL_SUFFIX):
            if (profile_dir / path).is_file():
                (into / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(profile_dir / path, into / path)


def _copied_still(source: Path, target: Path) -> bool:
    try:
        before = os.stat(source)
        if _being_written(source):
            return False
        shutil.copyfile(source, target)
        if _being_written(source) or not same_file_state(before, os.stat(source)):
            return False
        return _change_counter(source) == _change_counter(target)
    except FileNotFoundError:
        return False


def _being_written(source: Path) -> bool:
    """Whether a transaction is open, or the newest content lies in a write-ahead log."""
    for suffix in (JOURNAL_SUFFIX, "-wal"):
        path = source.with_name(source.name + suffix)
        if path.exists() and path.stat().st_size > 0:
            return True
    return False


def _change_counter(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_CHANGE_COUNTER.stop)[_CHANGE_COUNTER]
