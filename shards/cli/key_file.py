"""Making a key for archives, and putting it in front of ARCHIVE_KEYS in DATA_ROOT/secrets.env.

A key is printed only where an operator asked for it; no error and no log line ever holds one.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from daemon.core.archive_keys import KEY_BYTES, archive_keys_text, parse_archive_keys
from daemon.core.errors import ConflictError, InvalidInputError
from daemon.core.files import private_directory, write_atomic
from daemon.core.sections import ArchiveSettings, PathSettings
from daemon.core.settings import given_instead_of_secrets_file, load_section
from daemon.embedded.secret_file import FILE_NAME

_NAME = "ARCHIVE_KEYS"
_LINE = re.compile(rf"\s*(export\s+)?{_NAME}\s*=")


def new_key_id(present: Collection[str], today: date) -> str:
    """Return an id that says when the key was made and that no present key has."""
    base = today.isoformat()
    names = (base if count == 1 else f"{base}-{count}" for count in range(1, len(present) + 2))
    return next(name for name in names if name not in present)


def with_new_key(present: dict[str, bytes], key_id: str) -> dict[str, bytes]:
    """Return the keys with a new one in front, which seals from then on.

    Raises:
        InvalidInputError: not a valid id, or one that is taken.
    """
    if key_id in present:
        raise InvalidInputError("a key of this id is configured already", hint="choose another --id", key_id=key_id)
    keys = {key_id: secrets.token_bytes(KEY_BYTES), **present}
    try:
        parse_archive_keys(archive_keys_text(keys))
    except ValueError:
        raise InvalidInputError("a key id is 1 to 32 letters, digits, - and _", key_id=ascii(key_id[:40])) from None
    return keys


def write_new_key(key_id: str | None, today: date) -> tuple[str, Path]:
    """Put a new key in front of those in the secrets file; return its id and the file.

    Raises:
        ConflictError: the environment or .env sets ARCHIVE_KEYS, which outweighs the file.
        InvalidInputError: as `with_new_key`.
        SettingsError: what is configured now cannot be read.
    """
    elsewhere = given_instead_of_secrets_file(_NAME)
    if elsewhere is not None:
        raise ConflictError(
            f"{_NAME} is set in {elsewhere}, which outweighs {FILE_NAME}",
            hint=f"run `blazz keys new` without --write and put what it prints into {elsewhere}",
        )
    path = private_directory(load_section(PathSettings).data_root) / FILE_NAME
    with _locked(path.parent):
        present = load_section(ArchiveSettings).keys
        key_id = key_id or new_key_id(present, today)
        _replace_line(path, f"{_NAME}={archive_keys_text(with_new_key(present, key_id))}")
    return key_id, path


def _replace_line(path: Path, line: str) -> None:
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [present for present in lines if not _LINE.match(present)]
    owner = path.stat() if path.exists() else path.parent.stat()
    write_atomic(path, ("\n".join([*kept, line]) + "\n").encode())
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)  # the daemon reads it as its own user


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let two commands at once follow each other."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
