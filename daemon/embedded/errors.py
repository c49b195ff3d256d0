"""What can keep the embedded servers from starting; all of it needs somebody to change something first."""

from daemon.core.errors import FatalError
from daemon.core.exit_codes import ExitCode


class CannotStartError(FatalError):
    """The machine or the installation does not allow this start; nothing was started."""

    code = "cannot_start"
    exit_code = ExitCode.CONFIG
