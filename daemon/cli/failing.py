"""How every command fails: one line on standard error with code and hint, and the exit code of the error's class."""

import os
import traceback
from typing import Any

from daemon.cli.answers import RefusedError
from daemon.cli.printing import print_json, print_line
from daemon.core.errors import BlazzError
from daemon.core.exit_codes import ExitCode


def report(error: BaseException, *, as_json: bool = False) -> ExitCode:
    """Say what went wrong, never with a traceback, and return the exit code."""
    known = first_known(error) or BlazzError(f"bug: {_where(error)}")
    if as_json:
        print_json(problem_of(known), err=True)
        return known.exit_code
    lines = known.message.splitlines() or [""]
    for line in lines[:-1]:
        print_line(f"blazz: {line}", err=True)
    where = str(known)[len(known.message) :]
    hint = f"; {known.hint}" if known.hint else ""
    print_line(f"blazz: {lines[-1]}{where} ({known.code}){hint}", err=True)
    return known.exit_code


def report_interrupt() -> ExitCode:
    """Say that Ctrl-C ended the command, and return the exit code."""
    print_line("blazz: interrupted", err=True)
    return ExitCode.INTERRUPTED


def problem_of(error: BlazzError) -> dict[str, Any]:
    """Return an error as JSON: as the API told it, or in the same names."""
    told = {"code": error.code, "detail": error.message} | ({"hint": error.hint} if error.hint else {})
    return error.problem | told if isinstance(error, RefusedError) else told | error.ids


def first_known(error: BaseException) -> BlazzError | None:
    """Return the error if it is one of ours, or the first in a group of nothing but ours; else None."""
    if isinstance(error, BlazzError):
        return error
    if isinstance(error, BaseExceptionGroup):
        known = [first_known(inner) for inner in error.exceptions]
        return known[0] if all(known) else None
    return None


def _where(error: BaseException) -> str:
    """Name the kind of error and the place; its text may hold anything, also a secret."""
    while isinstance(error, BaseExceptionGroup):
        error = next((e for e in error.exceptions if first_known(e) is None), error.exceptions[0])
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
