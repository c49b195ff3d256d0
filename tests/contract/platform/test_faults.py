"""A database that is away, refuses or says nothing is an error, and no error holds the password."""

import contextlib
import socket
import sqlite3
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.core.errors import BlazzError
from daemon.platform.errors import PlatformRefusedError, PlatformUnavailableError
from tests.contract.platform.conftest import Ask, Platform, sqlite_platform
from tests.servers.databases import PASSWORD, DatabaseServer

WRONG = "not-the-passphrase"
ROW = ("12", "7", "NULL", "'connected'")


def url_of(platform: Platform, **changes: str | int) -> str:
    assert platform.server is not None
    return platform.server.url(**changes)  # type: ignore[arg-type]


def all_text(error: BlazzError) -> str:
    return f"{error!r} {error} {error.hint} {error.ids} {''.join(traceback.format_exception(error))}"


@contextlib.contextmanager
def nobody_there() -> Iterator[int]:
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


class Silent:
    """Passes everything on to a server until the words come by, then nothing any more, and keeps the line open."""

    def __init__(self, server: DatabaseServer, until: bytes) -> None:
        self._server = server
        self._until = until
        self._ended = threading.Event()
        self._lines: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                family = socket.AF_UNIX if isinstance(self._server.address, str) else socket.AF_INET
                server = socket.socket(family)
                self._lines += [client, server]
                at = self._server.address
                server.connect(at if isinstance(at, str) else ("127.0.0.1", at))
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (piece := one.recv(65536)) and self._until not in piece and not self._ended.is_set():
                other.sendall(piece)
        self._ended.wait()

    def close(self) -> None:
        self._ended.set()
        for line in (self._listener, *self._lines):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)  # wakes the threads that wait on it
            line.close()


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "pgsql", "postgres", "postgresql"])
async def test_nobody_there_is_unavailable(ask: Ask, tmp_path: Path, scheme: str) -> None:
    with nobody_there() as port, pytest.raises(PlatformUnavailableError) as raised:
        await ask(sqlite_platform(tmp_path), "t", URL=f"{scheme}://root:{WRONG}@127.0.0.1:{port}/laravel")
    assert WRONG not in all_text(raised.value)
    assert raised.value.ids == {"host": "127.0.0.1", "database": "laravel"}


@contextlib.contextmanager
def saying(words: bytes) -> Iterator[int]:
    """A port on which somebody says something to everyone who comes, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line, _ = listener.accept()
                    with line:
                        line.sendall(words)
                        line.shutdown(socket.SHUT_WR)
                        while line.recv(4096):
                            pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("scheme", ["mysql", "pgsql"])
@pytest.mark.parametrize(
    "words",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"-ERR\r\n", bytes(range(256)),
     b"\xff" * 70000, b"\x05\x00\x00\x00\x0aabcd", b"\x01\x00\x00\x00\x0a", b"\x00" * 64],
)  # fmt: skip
async def test_what_is_no_database_is_an_error_of_ours(ask: Ask, tmp_path: Path, scheme: str, words: bytes) -> None:
    with saying(words) as port, pytest.raises((PlatformUnavailableError, PlatformRefusedError)):
        await ask(
            sqlite_platform(tmp_path), "t", URL=f"{scheme}://root:{WRONG}@127.0.0.1:{port}/laravel", TIMEOUT_MS=1000
        )


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"password": WRONG}, "user and password"),
        ({"user": "nobody-of-this-name"}, "user and password"),
        ({"database": "no_such_database"}, "SESSIONS_DATABASE_URL"),
    ],
)
async def test_a_login_that_is_refused_is_a_refusal(
    served: Platform, ask: Ask, change: dict[str, str], hint: str
) -> None:
    with pytest.raises(PlatformRefusedError) as raised:
        await ask(served, "t", URL=url_of(served, **change))
    assert hint in raised.value.hint
    assert not [word for word in (PASSWORD, WRONG) if word in all_text(raised.value)]


async def test_a_table_that_may_not_be_read_is_a_refusal(served: Platform, ask: Ask) -> None:
    name = served.table(ROW)
    if served.kind == "postgres":
        served.run(f"REVOKE ALL ON {name} FROM reader")
        url = url_of(served)
    else:
        name, url = "user", url_of(served, database="mysql")
    with pytest.raises(PlatformRefusedError) as raised:
        await ask(served, name, URL=url)
    assert "SELECT" in raised.value.hint


@pytest.mark.parametrize("until", ["SELECT", "FETCH", "connect"])
async def test_a_server_that_says_nothing_more_is_unavailable_in_time(served: Platform, ask: Ask, until: str) -> None:
    if until == "FETCH" and served.kind == "mariadb":
        pytest.skip("MariaDB sends the rows without being asked for each batch")
    assert served.server is not None
    name = served.table(ROW)
    silent = Silent(served.server, b"" if until == "connect" else until.encode())
    try:
        with pytest.raises(PlatformUnavailableError):
            await ask(served, name, URL=url_of(served, port=silent.port), TIMEOUT_MS=1000)
    finally:
        silent.close()


async def test_a_query_that_takes_too_long_is_ended_by_postgres_itself(ask: Ask, postgres: DatabaseServer) -> None:
    view = "SELECT 1 AS user_id, 7 AS workspace_id, '' AS instance_id, pg_sleep(60)::text AS status"
    postgres.run(f"CREATE OR REPLACE VIEW slow AS {view}")
    slow = Platform(kind="postgres", url=postgres.url(), run=postgres.run, server=postgres)
    with pytest.raises(PlatformUnavailableError, match="57014"):
        await ask(slow, "slow", TIMEOUT_MS=1000)


async def test_a_table_in_another_schema_of_postgres_is_found_and_uuids_are_ids(
    ask: Ask, postgres: DatabaseServer
) -> None:
    instance = "0b1f7a52-6a3c-4a53-9a0e-2d9f0a4c5b6d"
    postgres.run(
        'CREATE SCHEMA IF NOT EXISTS "Wa"',
        'GRANT USAGE ON SCHEMA "Wa" TO reader',
        'CREATE TABLE IF NOT EXISTS "Wa".instances (user_id uuid, workspace_id int, instance_id uuid, status text)',
        f"""INSERT INTO "Wa".instances VALUES ('{instance}', 7, '{instance}', 'connected')""",
    )
    wa = Platform(kind="postgres", url=postgres.url(), run=postgres.run, server=postgres)
    assert [(found.session_id, found.user_id) for found in await ask(wa, "Wa.instances")] == [(instance, instance)]


async def test_a_file_that_is_not_there_is_a_refusal_and_is_not_made(ask: Ask, tmp_path: Path) -> None:
    missing = sqlite_platform(tmp_path / "missing.sqlite")
    with pytest.raises(PlatformRefusedError):
        await ask(missing, "t")
    assert not (tmp_path / "missing.sqlite").exists()


async def test_a_file_that_is_no_database_is_a_refusal(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 100)
    with pytest.raises(PlatformRefusedError):
        await ask(sqlite_platform(tmp_path / "text"), "t")


async def test_a_file_that_is_being_written_is_unavailable(ask: Ask, tmp_path: Path) -> None:
    platform = sqlite_platform(tmp_path / "database.sqlite")
    name = platform.table(ROW)
    writer = sqlite3.connect(tmp_path / "database.sqlite")
    try:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(PlatformUnavailableError):
            await ask(platform, name, TIMEOUT_MS=1000)
    finally:
        writer.close()
    assert len(await ask(platform, name)) == 1


async def test_an_option_that_the_driver_does_not_know_is_a_refusal(served: Platform, ask: Ask) -> None:
    with pytest.raises(PlatformRefusedError) as raised:
        await ask(served, "t", URL=f"{url_of(served)}&colour=blue")
    assert "?" in raised.value.hint
