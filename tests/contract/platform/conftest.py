"""Laravel's table on each kind of database: a file of SQLite, a real MariaDB, a real PostgreSQL."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from daemon.core.ids import new_id
from daemon.core.sections import PlatformSettings
from daemon.platform.database import PlatformDatabase
from daemon.sessions.known import KnownSession
from tests.servers.databases import DatabaseServer, mariadb_server, postgres_server

COLUMNS = "user_id bigint, workspace_id bigint, instance_id varchar(255), status varchar(32)"
Ask = Callable[..., Awaitable[list[KnownSession]]]


@dataclass
class Platform:
    """One database and the tables that a test makes in it."""

    kind: str
    url: str
    run: Callable[..., None]
    server: DatabaseServer | None = None
    tables: list[str] = field(default_factory=list)

    def quoted(self, name: str) -> str:
        """Return a name as this kind of database wants it in a statement."""
        mark = "`" if self.kind == "mariadb" else '"'
        return mark + name.replace(mark, mark * 2) + mark

    def table(self, *rows: Sequence[str], columns: str = COLUMNS, name: str | None = None) -> str:
        """Make a table; rows are of literals as a statement has them. Gives its name."""
        name = name or new_id("whatsapp_instances").lower()
        self.tables.append(name)
        self.run(f"CREATE TABLE {self.quoted(name)} ({columns})")
        for start in range(0, len(rows), 1000):
            values = ", ".join(f"({', '.join(row)})" for row in rows[start : start + 1000])
            self.run(f"INSERT INTO {self.quoted(name)} VALUES {values}")
        return name


@pytest.fixture(scope="session")
def mariadb() -> Iterator[DatabaseServer]:
    """A real MariaDB."""
    with mariadb_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[DatabaseServer]:
    """A real PostgreSQL."""
    with postgres_server() as server:
        yield server


def sqlite_platform(path: Path) -> Platform:
    """A new file of SQLite."""

    def run(*statements: str) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return Platform(kind="sqlite", url=f"sqlite:///{path}", run=run)


@pytest.fixture(params=["sqlite", "mariadb", "postgres"])
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    """Each kind of database in turn."""
    if request.param == "sqlite":
        yield sqlite_platform(tmp_path / "database.sqlite")
        return
    yield from _served(request.param, request.getfixturevalue(request.param))


@pytest.fixture(params=["mariadb", "postgres"])
def served(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """Each of those that are servers."""
    yield from _served(request.param, request.getfixturevalue(request.param))


def _served(kind: str, server: DatabaseServer) -> Iterator[Platform]:
    made = Platform(kind=kind, url=server.url(), run=server.run, server=server)
    yield made
    for name in made.tables:
        server.run(f"DROP TABLE IF EXISTS {made.quoted(name)} CASCADE")


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """Read a table with these settings, named without their prefix."""
    with ThreadPoolExecutor(2) as threads:

        async def read(platform: Platform, table: str, **settings: object) -> list[KnownSession]:
            values = {"URL": platform.url, "TABLE": table, "TIMEOUT_MS": 20_000, **settings}
            section = PlatformSettings.model_validate({f"SESSIONS_DATABASE_{k}": v for k, v in values.items()})
            return await PlatformDatabase(section, threads).connected_sessions()

        yield read
