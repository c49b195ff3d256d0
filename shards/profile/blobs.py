"""Copying the blob files of one IndexedDB so that none which the copied database names is missing.

Chromium writes a blob's file before it commits the record that names it, and deletes it some time after the commit
that dropped it. So files are linked before the database is copied (those may be gone afterwards) and again after it
(those may not have been there before). Only a file made and deleted between the two looks could be missed; blob
numbers grow by one (content/browser/indexed_db), so such a file leaves a gap below a newer one, and then the copy is
made again. So it is when a file that the second look listed is gone before it is linked: on a busy machine that may be
long after, and the newer ones are not in that list. Not seen is only a blob that was the newest, and whose record the
page wrote and dropped within these milliseconds: the copy may then hold that record without its blob.
"""

import os
import shutil
import time
from pathlib import Path

from shards.profile.copying import link_or_copy, replace_by_copy, same_file_state
from shards.profile.files import blob_files

_YOUNG_S = 10.0


def take_blobs(profile_dir: Path, into: Path, blobs: str) -> bool:
    """Link the blob files that are there now into the snapshot `into`; what was taken before is brought up to date.

    Returns:
        Whether each file that was listed is in the snapshot: one may be deleted before it is linked.
    """
    whole = True
    for path in blob_files(profile_dir, blobs):
        source, target = profile_dir / path, into / path
        try:
            if target.exists():
                _refresh(source, target)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(source, target)
        except FileNotFoundError:
            whole = whole and target.exists()
    return whole


def _refresh(source: Path, target: Path) -> None:
    now, taken = source.stat(), target.stat()
    if (now.st_dev, now.st_ino) != (taken.st_dev, taken.st_ino) and not same_file_state(now, taken):
        # Never without a file in its place: the source may be deleted at this moment, and the database still name it.
        replace_by_copy(source, target)


def blob_numbers(root: Path, blobs: str) -> dict[str, frozenset[int]]:
    """Return the blob numbers of each database (`.../1/00/2a` is number 0x2a of database 1); other files are left out.

    `root` is a profile or a snapshot of one.
    """
    found: dict[str, set[int]] = {}
    for path in blob_files(root, blobs):
        database, _, name = path.removeprefix(f"{blobs}/").partition("/")
        try:
            number = int(name.rpartition("/")[2], 16)
        except ValueError:
            continue
        found.setdefault(database, set()).add(number)
    return {database: frozenset(numbers) for database, numbers in found.items()}


def may_have_missed(before: dict[str, frozenset[int]], after: dict[str, frozenset[int]]) -> bool:
    """Whether a blob may have come and gone between two looks: a new number is there, and one below it is not."""
    for database, numbers in after.items():
        known = max(before.get(database, frozenset()), default=None)
        new = numbers - before.get(database, frozenset())
        if not new:
            continue
        lowest = min(new) if known is None else known + 1
        if any(number not in numbers for number in range(lowest, max(new))):
            return True
    return False


def freeze_blobs(into: Path, blobs: str) -> None:
    """Give the snapshot its own content of blobs that may still be written: those changed in the last seconds."""
    young_s = time.time() - _YOUNG_S
    for path in blob_files(into, blobs):
        status = os.stat(into / path)
        if status.st_nlink > 1 and status.st_mtime > young_s:
            replace_by_copy(into / path, into / path)


def drop_blobs(into: Path, blobs: str) -> None:
    """Remove what was taken, to begin again."""
    shutil.rmtree(into / blobs, ignore_errors=True)
