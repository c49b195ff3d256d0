"""Reading the platform's table. Blocking. The only statement is one SELECT, in a transaction that may only read."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, column, create_engine, event, func, select, table
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.types import NullType

from daemon.core.sections import PlatformSettings
from daemon.platform.address import database_url, driver_arguments
from daemon.platform.rows import Reading, Row
from daemon.platform.translating import translate

_ROWS_AT_ONCE = 1000


def read_connected(settings: PlatformSettings) -> Reading:
    """Return what the table says; rows are taken in as they come.

    Raises:
        PlatformUnavailableError, PlatformRefusedError: see `PlatformDatabase`.
    """
    url = database_url(settings.url.get_secret_value())
    reading = Reading()
    for rows in _batches(settings, url):
        reading.add(rows)
    return reading


def _batches(settings: PlatformSettings, url: URL) -> Iterator[list[Row]]:
    limit_s = settings.timeout_s
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=driver_arguments(url, limit_s))
    watch = _Watch(limit_s)
    if engine.dialect.name == "postgresql":
        event.listen(engine, "do_connect", watch.connect)
    try:
        with engine.connect() as made:
            connection = made.execution_options(
                stream_results=True, max_row_buffer=_ROWS_AT_ONCE, postgresql_readonly=True
            )
            _limit_statements(connection, limit_s)
            with connection.execute(connected_rows(settings)) as result:
                while rows := result.fetchmany(_ROWS_AT_ONCE):
                    yield [(row[0], row[1], row[2]) for row in rows]
                    watch.renew()
    except Exception as error:
        # Whatever it is: what is no database makes drivers stumble in many ways, over struct, index, attribute.
        # Without its cause, because a traceback would show the driver's text.
        raise translate(error, host=url.host, database=(url.database or "").removeprefix("file:")) from None
    finally:
        watch.end()
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
    # Shorter than the watch: the server's own word says more than a line that was cut.
    limit_ms = round(limit_s * 800)
    if connection.dialect.name == "postgresql":
        limited = select(func.set_config("statement_timeout", str(limit_ms), True))
        connection.execute(limited, execution_options={"stream_results": False}).close()


class _Watch:
    """Cuts the line of a connection that was not renewed in time: libpq waits for ever where a server says nothing.

    The drivers of the others have a limit of their own.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._line: socket.socket | None = None
        self._timer: threading.Timer | None = None

    def connect(self, dialect: Dialect, record: object, arguments: Any, options: Any) -> Any:
        """Connect, and watch from the first request on; SQLAlchemy makes some of its own."""
        connection: Any = dialect.connect(*arguments, **options)
        # A copy: the number of the connection's own socket may be another one's once it is closed.
        self._line = socket.socket(fileno=os.dup(connection.fileno()))
        self.renew()
        return connection

    def renew(self) -> None:
        """Give it the whole time again."""
        if self._timer is not None:
            self._timer.cancel()
        if self._line is not None:
            self._timer = threading.Timer(self._limit_s, _cut, [self._line])
            self._timer.daemon = True
            self._timer.start()

    def end(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._line is not None:
            self._line.close()


def _cut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
