"""The one place where errors of SQLAlchemy and the drivers become ours.

Their texts are never passed on: they may hold the statement, its values, user and host.
"""

import sqlite3
import struct
from typing import Any

from sqlalchemy.exc import DBAPIError, ProgrammingError

from daemon.core.errors import BlazzError
from daemon.platform.errors import PlatformRefusedError, PlatformUnavailableError

_LOGIN = "check user and password in SESSIONS_DATABASE_URL, and that the server lets this host in"
_DATABASE = "check the database's name in SESSIONS_DATABASE_URL"
_TABLE = "check SESSIONS_DATABASE_TABLE"
_COLUMN = "check SESSIONS_DATABASE_*_COLUMN"
_GRANT = "the user in SESSIONS_DATABASE_URL needs SELECT on the table"
_VALUE = "check SESSIONS_DATABASE_STATUS_VALUE: it does not fit its column"
_FILE = "check the path in SESSIONS_DATABASE_URL, and that this user may read the file"
_OPTION = "check what follows the ? in SESSIONS_DATABASE_URL"
_OTHER = "check host and port in SESSIONS_DATABASE_URL: what answers there is no database of this kind"
_ANY = "check SESSIONS_DATABASE_*"
_WAIT = "see that the database runs and can be reached from here; it is asked again"

_STUMBLES = (ValueError, LookupError, AttributeError, struct.error, AssertionError)

_MYSQL_REFUSALS = {
    1044: _GRANT, 1045: _LOGIN, 1049: _DATABASE, 1054: _COLUMN, 1064: _ANY, 1103: _TABLE, 1130: _LOGIN, 1142: _GRANT,
    1143: _GRANT, 1146: _TABLE, 1251: _LOGIN, 1698: _LOGIN, 2054: _LOGIN, 2059: _LOGIN, 3118: _LOGIN, 3159: _LOGIN,
    4151: _LOGIN,
}  # fmt: skip
_POSTGRES_REFUSALS = {
    "28": _LOGIN, "3D": _DATABASE, "3F": _TABLE, "42501": _GRANT, "42P01": _TABLE, "42703": _COLUMN, "42": _ANY,
    "22": _VALUE,
}  # fmt: skip
_POSTGRES_LOGIN_REFUSALS = {
    "authentication failed": _LOGIN,
    "no password supplied": _LOGIN,
    "no pg_hba.conf entry": _LOGIN,
    "role": _LOGIN,
    "database": _DATABASE,
    "invalid connection option": _OPTION,
    "invalid URI query parameter": _OPTION,
}
_SQLITE_REFUSALS = {
    "SQLITE_CANTOPEN": _FILE,
    "SQLITE_NOTADB": _FILE,
    "SQLITE_PERM": _FILE,
    "SQLITE_AUTH": _FILE,
    "SQLITE_CORRUPT": _FILE,
    "SQLITE_ERROR": f"{_TABLE} and SESSIONS_DATABASE_*_COLUMN",
}


def translate(error: Exception, **ids: object) -> BlazzError:
    """Return our error for one of SQLAlchemy's or a driver's; `ids` say which database it is."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code, hint = _refusal(cause)
    if hint is None and isinstance(error, ProgrammingError):
        hint = _ANY
    if hint is None and isinstance(cause, TypeError):
        hint = _OPTION  # the address has one that the driver does not take
    if hint is None and isinstance(cause, _STUMBLES):
        hint = _OTHER
    if hint is not None:
        return PlatformRefusedError(f"the platform's database refused ({code})", hint=hint, **ids)
    return PlatformUnavailableError(f"the platform's database does not answer ({code})", hint=_WAIT, **ids)


def _refusal(cause: BaseException) -> tuple[str, str | None]:
    """Return a name for what happened, and what to do if it is a refusal."""
    kind = type(cause).__name__
    module = type(cause).__module__.partition(".")[0]
    if module == "pymysql":
        number = cause.args[0] if cause.args and isinstance(cause.args[0], int) else 0
        return (f"MySQL {number}" if number else kind), _MYSQL_REFUSALS.get(number)
    if module == "psycopg":
        return _postgres_refusal(cause, kind)
    if isinstance(cause, sqlite3.Error):
        name = getattr(cause, "sqlite_errorname", None) or kind
        hints = (hint for prefix, hint in _SQLITE_REFUSALS.items() if name.startswith(prefix))
        return name, next(hints, None)
    return kind, None


def _postgres_refusal(cause: Any, kind: str) -> tuple[str, str | None]:
    state = cause.sqlstate
    if state is not None:
        hints = (_POSTGRES_REFUSALS[part] for part in (state, state[:2]) if part in _POSTGRES_REFUSALS)
        return f"PostgreSQL {state}", next(hints, None)
    # A login that is refused comes without a code. In another language than English it counts as no answer.
    text = str(cause)
    refused = "FATAL" in text and ("does not exist" in text or "authentication" in text or "pg_hba" in text)
    for words, hint in _POSTGRES_LOGIN_REFUSALS.items():
        if words in text and (refused or hint is _OPTION):
            return kind, hint
    return kind, None
