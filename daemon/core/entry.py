"""The frame of every long-running process: settings, logs, and an exit code that supervisord understands."""

import sys
import time
from collections.abc import Callable

import structlog

from daemon.core.errors import BlazzError, SettingsError
from daemon.core.exit_codes import ExitCode
from daemon.core.logs import configure_logs
from daemon.core.settings import Settings, load_settings, under_supervisord

log = structlog.get_logger()


def run_process(name: str, run: Callable[[Settings], None]) -> ExitCode:
    """Load settings, set up logs, run, and return how it ended.

    Wrong settings are one line each on stderr and `ExitCode.CONFIG`, which supervisord does not retry.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        for line in error.message.splitlines():
            print(f"{name}: wrong setting: {line}", file=sys.stderr)
        print(f"{name}: not started; {error.hint}", file=sys.stderr)
        _outlive_start()
        return error.exit_code
    configure_logs(settings.log, process=name)
    try:
        run(settings)
    except BlazzError as error:
        return _report(name, error)
    except BaseExceptionGroup as group:
        known = [error for error in _leaves(group) if isinstance(error, BlazzError)]
        if len(known) != len(_leaves(group)):
            log.exception("process failed", process=name)
            return ExitCode.SOFTWARE
        return _report(name, known[0])
    except KeyboardInterrupt:
        return ExitCode.OK
    return ExitCode.OK


def _report(name: str, error: BlazzError) -> ExitCode:
    log.error("process ends", process=name, code=error.code, error=str(error), hint=error.hint)
    if error.exit_code is ExitCode.CONFIG:
        _outlive_start()
    return error.exit_code


def _outlive_start() -> None:
    # supervisord looks at the exit code only of a process that lived for `startsecs` (2 in supervisord.conf) and
    # tries any other again: without this, one wrong setting would be reported once for each of its tries.
    if under_supervisord():
        time.sleep(3)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
