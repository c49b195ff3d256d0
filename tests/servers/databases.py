"""Real database servers in directories of their own: one database, its owner, and a user who may only read.

The tables of tests are made by the owner; every one of them may be read by the reader unless a test takes that away.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tests.servers.child import free_ports, retried, running

DATABASE = "laravel"
READER = "reader"
PASSWORD = "p@ss/word?#1"
"""With everything that must be escaped in an address."""
_POSTGRES = Path("/usr/lib/postgresql")
_MARIADB_SQL = Path("/usr/share/mysql/mysql_system_tables.sql")


@dataclass(frozen=True, kw_only=True)
class DatabaseServer:
    """A running server. `owner_url` is SQLAlchemy's; `address` is where it listens: a port, or the path of a socket."""

    scheme: str
    owner_url: str
    address: int | str

    def url(
        self, *, user: str = READER, password: str = PASSWORD, database: str = DATABASE, port: int | None = None
    ) -> str:
        """Return the address as Laravel writes it; on `port`, if given, somebody else passes everything on."""
        login = f"{self.scheme}://{user}:{quote(password, safe='')}"
        if port is None and isinstance(self.address, str):
            return f"{login}@/{database}?host={Path(self.address).parent}"
        return f"{login}@127.0.0.1:{port or self.address}/{database}?charset=utf8"

    def run(self, *statements: str) -> None:
        """Run statements as the owner."""
        engine = create_engine(self.owner_url, poolclass=NullPool)
        try:
            with engine.begin() as connection:
                for statement in statements:
                    connection.exec_driver_sql(statement.replace("%", "%%"))
        finally:
            engine.dispose()


@contextlib.contextmanager
def postgres_server() -> Iterator[DatabaseServer]:
    """Run PostgreSQL on a unix socket; as `nobody` where root runs the tests, because it refuses to run as root."""
    versions = sorted(_POSTGRES.glob("*/bin/initdb"))
    assert versions, "PostgreSQL is not installed: run bin/setup --tests"
    binaries = versions[-1].parent
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        user: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody", "nogroup")
            user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        make = ["-D", f"{folder}/data", "-U", "owner", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"]
        _run([*user, binaries / "initdb", *make])
        Path(folder, "data", "pg_hba.conf").write_text("local all owner trust\nlocal all all scram-sha-256\n")
        command = [*user, binaries / "postgres", "-D", f"{folder}/data", "-k", folder, "-c", "listen_addresses=", "-c",
                   "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=20"]  # fmt: skip
        with running(command, ready="ready to accept connections"):
            owner = f"postgresql+psycopg://owner@/{DATABASE}?host={folder}"
            server = DatabaseServer(scheme="pgsql", owner_url=owner, address=f"{folder}/.s.PGSQL.5432")
            _run([binaries / "createdb", "-h", folder, "-U", "owner", DATABASE])
            server.run(
                f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'",
                f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {READER}",
            )
            yield server


@contextlib.contextmanager
def mariadb_server() -> Iterator[DatabaseServer]:
    """Run MariaDB on a port of loopback."""
    binary = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert binary is not None, "MariaDB is not installed: run bin/setup --tests"
    with tempfile.TemporaryDirectory(prefix="my-", dir="/tmp") as folder:
        Path(folder, "data").mkdir()
        Path(folder, "tmp").mkdir()
        # A server that starts removes the temporary tables that it finds in its tmpdir, also those of another one.
        common = [binary, "--no-defaults", f"--datadir={folder}/data", f"--tmpdir={folder}/tmp",
                  "--innodb-buffer-pool-size=8M",
                  "--innodb-log-file-size=4M", *(["--user=root"] if os.geteuid() == 0 else [])]  # fmt: skip
        tables = f"CREATE DATABASE mysql;\nUSE mysql;\n{_MARIADB_SQL.read_text()}"
        _run([*common, "--bootstrap"], stdin=tables)
        users = Path(folder, "users.sql")
        # One statement a line, as it is read.
        users.write_text(
            f"CREATE DATABASE {DATABASE};\n"
            "CREATE USER owner@'%';\n"
            f"GRANT ALL ON {DATABASE}.* TO owner@'%' WITH GRANT OPTION;\n"
            f"CREATE USER {READER}@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT SELECT ON {DATABASE}.* TO {READER}@'%';\n"
        )

        @contextlib.contextmanager
        def start() -> Iterator[str]:
            port = free_ports(1)
            command = [*common, f"--init-file={users}", f"--socket={folder}/s", "--bind-address=127.0.0.1",
                       f"--port={port}", "--skip-name-resolve", f"--pid-file={folder}/pid"]  # fmt: skip
            with running(command, ready="ready for connections"):
                yield str(port)

        with retried(start) as port:
            owner = f"mysql+pymysql://owner@127.0.0.1:{port}/{DATABASE}"
            yield DatabaseServer(scheme="mysql", owner_url=owner, address=int(port))


def _run(command: Sequence[str | Path], *, stdin: str = "") -> None:
    done = subprocess.run([str(part) for part in command], input=stdin, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
