"""Exit codes of every entry point, after BSD's sysexits.h.

supervisord restarts a process that ends with any other code than OK or CONFIG (see `exitcodes=` in
supervisord.conf), so CONFIG means: the same start cannot work before somebody changes a setting.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Process exit codes."""

    OK = 0
    USAGE = 64
    """Wrong command line arguments."""
    UNKNOWN = 65
    """An action may have happened, and nobody knows: look before repeating it, or repeat it with the same key."""
    UNAVAILABLE = 69
    """Something outside did not answer (Redis, the object store, the coordinator); trying again may help."""
    SOFTWARE = 70
    """A bug: an error nobody expected reached the top."""
    TEMPORARY = 75
    """Could not start now, for example because the previous process of that name still runs."""
    CONFIG = 78
    """A setting is missing or wrong; restarting cannot help."""
    INTERRUPTED = 130
    """Ended by Ctrl-C, as shells tell it: 128 and the number of the signal."""
