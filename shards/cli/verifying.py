"""Verifying archives in files: everything that a restore would check, and nothing is kept. Also the tally of a check.

What could not be reached or opened is told apart from what is bad: only damage is "bad".
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from daemon.core.errors import (
    ArchiveKeyMissingError,
    BlazzError,
    DamagedError,
    UnavailableError,
)
from daemon.core.exit_codes import ExitCode
from shards.archive.head import read_head
from shards.archive.keyring import Keyring
from shards.archive.legacy import unpack_legacy
from shards.archive.unpack import Expected, UnpackLimits, verify
from shards.cli.inspecting import is_zip
from shards.cli.progress import ProgressLine
from shards.profile.mending import mend

BAD_EXIT_CODE = 1


@dataclass(kw_only=True)
class Tally:
    """How it went so far; `failures` holds one name and error each."""

    good: int = 0
    size_bytes: int = 0
    failures: list[tuple[str, BlazzError]] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """How many are damaged."""
        return sum(isinstance(error, DamagedError) for _, error in self.failures)

    @property
    def exit_code(self) -> int:
        """0 when all are good; else what the worst of it is."""
        if self.bad:
            return BAD_EXIT_CODE
        errors = [error for _, error in self.failures]
        # Unreachable before anything else: then not even this run is complete.
        errors.sort(key=lambda error: not isinstance(error, UnavailableError))
        return int(errors[0].exit_code) if errors else int(ExitCode.OK)

    def to_json(self) -> dict[str, object]:
        """Return everything as JSON has it."""
        failures = [
            {"name": name, "what": _word(error), "code": error.code, "message": error.message}
            for name, error in self.failures
        ]
        return {"good": self.good, "size_bytes": self.size_bytes, "not_good": failures}

    def add(self, name: str, size_bytes: int, error: BlazzError | None, progress: ProgressLine) -> None:
        """Count one; one that is not good is printed."""
        if error is None:
            self.good += 1
            self.size_bytes += size_bytes
        else:
            self.failures.append((name, error))
            progress.print(failure_line(name, error))
        progress.step()


def failure_line(name: str, error: BlazzError) -> str:
    """Return the line of one that is not good: a word for what it is, its stable code, its name and why."""
    return f"{_word(error)} {error.code} {name}: {error.message}"


def _word(error: BlazzError) -> str:
    match error:
        case DamagedError():
            return "bad"
        case ArchiveKeyMissingError():
            return "locked"
        case UnavailableError():
            return "unreachable"
        case _:
            return "failed"


def verify_files(
    paths: Iterable[Path], *, keyring: Keyring, limits: UnpackLimits, scratch: Path, progress: ProgressLine
) -> Tally:
    """Verify files, also the zips of a Node service; blocking."""
    tally = Tally()
    for path in paths:
        error = verify_file(path, keyring=keyring, limits=limits, expected=Expected(), scratch=scratch)
        if isinstance(error, DamagedError) and is_zip(path) and not _is_ours(path):
            error = _verify_legacy(path, limits, scratch)
        tally.add(str(path), path.stat().st_size, error, progress)
    return tally


def verify_file(
    path: Path, *, keyring: Keyring, limits: UnpackLimits, expected: Expected, scratch: Path
) -> BlazzError | None:
    """Return what is wrong with an archive, None if it is good."""
    try:
        verify(path, limits=limits, keyring=keyring, expected=expected, work_dir=scratch)
    except BlazzError as error:
        return error
    return None


def _is_ours(path: Path) -> bool:
    try:
        read_head(path)
    except DamagedError:
        return False
    return True


def _verify_legacy(path: Path, limits: UnpackLimits, scratch: Path) -> BlazzError | None:
    """Return what is wrong with the zip of a Node service: also databases that Chromium would not open."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        try:
            unpack_legacy(path, Path(folder, "files"), limits=limits)
            mend(Path(folder, "files"))
        except BlazzError as error:
            return error
    return None
