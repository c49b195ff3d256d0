"""The documented tables and the outbox on MariaDB, whose rules about sizes, types and letters SQLite does not have."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.php.application import Console, LaravelApplication
from tests.php.daemon_double import SENT, TOKEN, Answer, DaemonDouble, problem
from tests.servers.databases import DATABASE, mariadb_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

TO = "+5511999990000"


class OnMariaDb:
    """An application with its tables in MariaDB."""

    def __init__(self, daemon: DaemonDouble, laravel: LaravelApplication, console: Console) -> None:
        self.daemon = daemon
        self.laravel = laravel
        self._console = console

    async def run(self, code: str) -> Any:
        return await asyncio.to_thread(self._console.run, f"use Illuminate\\Support\\Facades\\DB; {code}")

    async def rows(self, query: str) -> list[dict[str, Any]]:
        return list(await self.run(f'return DB::select("{query}");'))

    async def keep(self, kind: str, session_id: str, event_id: str, **data: Any) -> None:
        told = {"id": event_id, "event": kind, "session_id": session_id, "workspace_id": "W", "user_id": "U"}
        body = json.dumps(told | {"timestamp": "2026-01-31T12:00:00.000Z", "data": data})
        (self.laravel.home / "told.json").write_text(body)
        await self.run(
            "$body = file_get_contents(base_path('told.json'));"
            "App\\Models\\WhatsappEvent::keep(json_decode($body, true), $body)->dispatchJob();"
        )

    async def due(self) -> None:
        """Make the next try's time come."""
        await self.run(
            "DB::table('whatsapp_outbox')->where('status', 'pending')->update(['next_try_at' => '2020-01-01']);"
            "DB::table('jobs')->update(['available_at' => 0]);"
        )

    async def work(self, *answers: Answer, jobs: int = 0) -> None:
        self.daemon.will(*answers)
        await asyncio.to_thread(self.laravel.work, jobs=jobs)
        assert await self.rows("select exception from failed_jobs") == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mariadb(home: Path) -> AsyncIterator[OnMariaDb]:
    with mariadb_server() as server:
        where = {"DB_CONNECTION": "mysql", "DB_PORT": str(server.address)}
        login = {"DB_DATABASE": DATABASE, "DB_USERNAME": "owner"}
        async with DaemonDouble() as daemon:
            laravel = LaravelApplication(home, url=daemon.url, token=TOKEN, secrets="not-used", **where, **login)
            with laravel.console() as console:
                yield OnMariaDb(daemon, laravel, console)


async def test_ids_that_differ_in_case_are_two(mariadb: OnMariaDb) -> None:
    await mariadb.keep("qr", "Abc", "evt_1A", qr="first")
    await mariadb.keep("qr", "abc", "evt_1a", qr="second")
    await mariadb.keep("ready", "abc", "evt_2", phone="55", pushname="Ana")
    for message_id in ("false_55@c.us_3EB0Ab", "false_55@c.us_3eb0aB"):
        await mariadb.keep("message", "abc", message_id[-6:], id=message_id, body=message_id, timestamp=1)
    await mariadb.work()
    found = await mariadb.rows("select session_id, status from whatsapp_sessions order by session_id")
    assert found == [{"session_id": "Abc", "status": "qr"}, {"session_id": "abc", "status": "connected"}]
    assert len(await mariadb.rows("select id from whatsapp_messages where body = message_id")) == 2
    columns = await mariadb.rows(
        "select column_name as name from information_schema.columns where table_name like 'whatsapp%' "
        "and (column_name like '%\\_id' or column_name in ('to', 'chat', 'author', 'reply_to')) "
        "and collation_name <> 'utf8mb4_bin'"
    )
    assert columns == []


async def test_the_longest_that_the_api_takes_has_room(mariadb: OnMariaDb) -> None:
    text, message_id = "😀" * 65_536, "false_" + "5" * 194
    await mariadb.keep("message", "long", "evt_long", id=message_id, body=text, timestamp=1, notify_name="n" * 300)
    sent = Answer(json={"outcome": "sent", "message_id": "true_1" + message_id[6:], "timestamp": None})
    content = "['message' => str_repeat('😀', 65536)]"
    await mariadb.run(f"App\\Models\\WhatsappOutbox::place('long', '{TO}', {content}, '{message_id}');")
    await mariadb.work(sent)
    found = await mariadb.rows(
        "select char_length(body) n, message_id from whatsapp_messages where session_id = 'long'"
    )
    assert [row["n"] for row in found] == [65_536, 65_536]
    assert {row["message_id"] for row in found} == {message_id, "true_1" + message_id[6:]}


async def test_a_message_that_fails_for_long_blocks_no_queue(mariadb: OnMariaDb) -> None:
    row_id = await mariadb.run(f"return App\\Models\\WhatsappOutbox::place('s', '{TO}', ['message' => 'x'])->id;")
    away = problem(503, "shard_unavailable", outcome="not_sent", retry_after=2)
    # As if it had been tried so often already.
    await mariadb.run("DB::table('whatsapp_outbox')->where('status', 'pending')->update(['attempts' => 300]);")
    for _ in range(2):
        await mariadb.due()
        await mariadb.work(away, jobs=1)
        assert [job["attempts"] for job in await mariadb.rows("select attempts from jobs")] == [0]
    await mariadb.due()
    await mariadb.work(SENT)
    found = await mariadb.rows(f"select status, attempts from whatsapp_outbox where id = '{row_id}'")
    assert found == [{"status": "sent", "attempts": 303}]


async def test_a_problem_of_somebody_else_has_room(mariadb: OnMariaDb) -> None:
    row_id = await mariadb.run(f"return App\\Models\\WhatsappOutbox::place('p', '{TO}', ['message' => 'x'])->id;")
    await mariadb.work(problem(422, "c" * 300))
    found = await mariadb.rows(f"select status, problem_code from whatsapp_outbox where id = '{row_id}'")
    assert found == [{"status": "failed", "problem_code": "c" * 64}]
