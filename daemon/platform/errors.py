"""What can go wrong with the platform's database."""

from daemon.core.errors import FatalError, UnavailableError


class PlatformUnavailableError(UnavailableError):
    """The platform's database did not answer in time, or failed inside: nothing is known of its sessions."""

    code = "platform_unavailable"


class PlatformNotSetError(FatalError):
    """The platform's database is asked for, and none is set."""

    code = "platform_not_set"


class PlatformRefusedError(FatalError):
    """The platform's database cannot be read as it is set: credentials, database, table, columns, or the driver."""

    code = "platform_refused"
