"""From a Laravel-style address to what SQLAlchemy and the drivers need."""

from typing import Any
from urllib.parse import quote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from daemon.platform.errors import PlatformRefusedError

_DRIVERS = {
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "pgsql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
}
_LEAST_CONNECT_S = 2
"""libpq takes no shorter limit."""


def database_url(address: str) -> URL:
    """Return the address of the database with the driver that is installed; SQLite's is opened for reading only.

    Raises:
        PlatformRefusedError: it cannot be understood.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        # Their texts may hold the address.
        raise PlatformRefusedError("SESSIONS_DATABASE_URL cannot be understood", hint=_HINT) from None
    if url.drivername == "sqlite":
        return _read_only_file(url)
    if not url.database:
        raise PlatformRefusedError("SESSIONS_DATABASE_URL names no database", hint=_HINT)
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    # Laravel's addresses may carry it for every server; libpq would refuse it.
    return url.difference_update_query(["charset"]) if url.drivername.startswith("postgresql") else url


_HINT = "for example mysql://user:password@host:3306/database; in a password, / ? # @ are written as %2F %3F %23 %40"


def _read_only_file(url: URL) -> URL:
    if not url.database or url.database == ":memory:":
        raise PlatformRefusedError("SESSIONS_DATABASE_URL names no file", hint="sqlite:////path/of/database.sqlite")
    # Opened in any other way, a file that is not there would be made, and be empty.
    return URL.create("sqlite", database=f"file:{quote(url.database)}", query={"mode": "ro", "uri": "true"})


def driver_arguments(url: URL, timeout_s: float) -> dict[str, Any]:
    """Return the driver's own arguments: limits, and that this session only reads."""
    whole_s = max(_LEAST_CONNECT_S, round(timeout_s))
    match url.get_backend_name():
        case "mysql" | "mariadb":
            return {
                "connect_timeout": whole_s,
                "read_timeout": whole_s,
                "write_timeout": whole_s,
                "init_command": "SET SESSION TRANSACTION READ ONLY",
            }
        case "postgresql":
            return {"connect_timeout": whole_s, "application_name": "blazz"}
        case _:
            return {"timeout": timeout_s}
