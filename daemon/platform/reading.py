"""Reading the platform's table. Blocking. The only statement is one SELECT, in a transaction that may only read."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, column, create_engine, func, select, table
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.types import NullType

from daemon.core.sections import PlatformSettings
from daemon.platform.address import database_url, driver_arguments
from daemon.platform.rows import Reading, Row
from daemon.platform.translating import RAISED, translate

_ROWS_AT_ONCE = 1000


def read_connected(settings: PlatformSettings) -> Reading:
    """Return what the table says; rows are taken in as they come.

    Raises:
        PlatformUnavailableError, PlatformRefusedError: see `PlatformDatabase`.
    """
    url = database_url(settings.url.get_secret_value())
    reading = Reading()
    try:
        for rows in _batches(settings, url):
            reading.add(rows)
    except RAISED as error:
        # Without its cause: a traceback would show the driver's text.
        raise translate(error, host=url.host, database=(url.database or "").removeprefix("file:")) from None
    return reading


def _batches(settings: PlatformSettings, url: URL) -> Iterator[list[Row]]:
    limit_s = settings.timeout_s
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=driver_arguments(url, limit_s))
    try:
        with engine.connect() as made:
            connection = made.execution_options(
                stream_results=True, max_row_buffer=_ROWS_AT_ONCE, postgresql_readonly=True
            )
            with _limited(connection) as watch:
                with watch(limit_s):
                    _limit_statements(connection, limit_s)
                    result = connection.execute(connected_rows(settings))
                while True:
                    with watch(limit_s):
                        rows = result.fetchmany(_ROWS_AT_ONCE)
                    if not rows:
                        return
                    yield [(row[0], row[1], row[2]) for row in rows]
    finally:
        engine.dispose()


def connected_rows(settings: PlatformSettings) -> Executable:
    """Return the one statement. Names are always quoted, and belong to the table.

    Unquoted they would change their case; without the table, SQLite would take a wrong name for a text.
    """
    schema, _, name = settings.table.rpartition(".")
    user, workspace, instance, status = (
        column(quoted_name(name, True), NullType())
        for name in (
            settings.user_column,
            settings.workspace_column,
            settings.instance_column,
            settings.status_column,
        )
    )
    source = table(
        quoted_name(name, True), user, workspace, instance, status, schema=quoted_name(schema, True) if schema else None
    )
    # Without a type the server takes that of the column, which may be an enumeration or a number.
    value = bindparam("status", settings.status_value, type_=NullType())
    return select(user, workspace, instance).select_from(source).where(status == value)


def _limit_statements(connection: Connection, limit_s: float) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.set_config("statement_timeout", str(round(limit_s * 1000)), True)))


_Watch = Callable[[float], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def _limited(connection: Connection) -> Iterator[_Watch]:
    """Give a way to bound one wait: libpq has no limit of its own for a server that just says nothing.

    The others have one.
    """
    if connection.dialect.name != "postgresql":
        yield lambda limit_s: contextlib.nullcontext()
        return
    driver: Any = connection.connection.dbapi_connection
    # A copy: the number of the connection's own socket may be another one's once it is closed.
    with socket.socket(fileno=os.dup(driver.fileno())) as line:

        @contextlib.contextmanager
        def watch(limit_s: float) -> Iterator[None]:
            timer = threading.Timer(limit_s, _cut, [line])
            timer.daemon = True
            timer.start()
            try:
                yield
            finally:
                timer.cancel()

        yield watch


def _cut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
