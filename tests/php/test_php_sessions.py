"""What Laravel holds of sessions: whose they are, what no event tells, and the files of their messages."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from daemon.core.clock import utc_now
from daemon.core.ids import new_id
from daemon.sessions.events import Event, EventKind
from daemon.webhooks.body import body_of
from tests.php.application import Console, LaravelApplication
from tests.php.daemon_double import TOKEN, Answer, DaemonDouble, problem

pytestmark = pytest.mark.asyncio(loop_scope="module")

MISSING = problem(404, "session_not_found")
Json = dict[str, Any]


class Sessions:
    """An application and the double of its daemon."""

    def __init__(self, daemon: DaemonDouble, laravel: LaravelApplication, console: Console) -> None:
        self.daemon = daemon
        self.laravel = laravel
        self._console = console

    async def run(self, code: str) -> Any:
        return await asyncio.to_thread(self._console.run, code)

    async def keep(self, event: Event, *, due: bool = True) -> None:
        """Take an event, and run its jobs."""
        body = body_of(event).decode()
        (self.laravel.home / "told.json").write_text(body)
        await self.run(
            "$body = file_get_contents(base_path('told.json'));"
            "App\\Models\\WhatsappEvent::keep(json_decode($body, true), $body)->dispatchJob();"
        )
        if due:
            await self.work()

    async def work(self, *answers: Answer, jobs: int = 0) -> None:
        self.daemon.will(*answers)
        await asyncio.to_thread(self.laravel.work, jobs=jobs)

    async def reconcile(self, *answers: Answer) -> None:
        self.daemon.will(*answers)
        await asyncio.to_thread(self.laravel.artisan, "blazz:reconcile")

    async def ask(self, method: str, path: str, *answers: Answer, user: str | None = None) -> tuple[int, Json]:
        """Ask the application as a browser does, signed in as a user; return status and JSON."""
        self.daemon.will(*answers)
        server = {"HTTP_ACCEPT": "application/json"} | ({} if user is None else {"HTTP_X_TEST_USER": user})
        status, body = await self.run(
            f"$asked = Illuminate\\Http\\Request::create('{path}', '{method}', [], [], [], {_php(server)});"
            "app('auth')->forgetGuards();"
            "$said = app(Illuminate\\Contracts\\Http\\Kernel::class)->handle($asked);"
            "return [$said->getStatusCode(), $said->getContent()];"
        )
        return int(status), json.loads(body) if body.startswith("{") else {"body": body}

    def row(self, session_id: str) -> Json:
        return self.laravel.rows("select * from whatsapp_sessions where session_id = ?", session_id)[0]


def _php(words: Mapping[str, str]) -> str:
    return "[" + ", ".join(f"'{key}' => '{value}'" for key, value in words.items()) + "]"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sessions(home: Path) -> AsyncIterator[Sessions]:
    async with DaemonDouble() as daemon:
        laravel = LaravelApplication(home, url=daemon.url, token=TOKEN, secrets="not-used", BLAZZ_WORKSPACE="7")
        with laravel.console() as console:
            yield Sessions(daemon, laravel, console)


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def clean(sessions: Sessions) -> None:
    tables = ("jobs", "failed_jobs", "whatsapp_sessions", "whatsapp_messages", "whatsapp_events")
    sessions.laravel.change(*(f"delete from {table}" for table in tables))


def event(kind: EventKind, session_id: str, *, user_id: str = "12", **data: Any) -> Event:
    return Event(
        event_id=new_id("evt"),
        kind=kind,
        session_id=session_id,
        workspace_id="7",
        user_id=user_id,
        at=utc_now(),
        data=data,
    )


def shown(session_id: str, status: str, *, at: str = "2099-01-31T12:00:00.000Z", **facts: Any) -> Json:
    """A session as the API shows it."""
    own = {"session_id": session_id, "workspace_id": "7", "user_id": "12", "status": status, "status_at": at}
    return own | {"reason": None, "phone": None, "pushname": None} | facts


def page(*found: Json) -> Answer:
    return Answer(json={"sessions": list(found), "next_cursor": None})


async def test_what_no_event_tells_is_found_by_asking(sessions: Sessions) -> None:
    for session_id in ("stopped-1", "gone-1", "late-1", "same-1"):
        await sessions.keep(event(EventKind.QR, session_id, qr="a-secret-code"))
    found = page(
        shown("stopped-1", "stopped"),
        shown("failed-1", "failed", reason="browser_failed"),
        shown("late-1", "starting", at="2020-01-31T12:00:00.000Z"),
        shown("same-1", "qr"),
    )
    await sessions.reconcile(found, MISSING)
    assert [a.path.rpartition("/")[2] for a in sessions.daemon.asked] == ["sessions", "gone-1"]
    assert (sessions.row("stopped-1")["status"], sessions.row("stopped-1")["code"]) == ("stopped", None)
    assert (sessions.row("gone-1")["status"], sessions.row("gone-1")["code"]) == ("gone", None)
    new = sessions.row("failed-1")
    assert (new["status"], new["reason"], new["workspace_id"]) == ("failed", "browser_failed", "7")
    assert sessions.row("late-1")["status"] == "qr", "an event told something newer"
    assert sessions.row("same-1")["code"] == "a-secret-code"


async def test_a_session_that_turns_up_while_the_list_is_read_is_not_gone(sessions: Sessions) -> None:
    await sessions.keep(event(EventKind.QR, "new-1", qr="x"))
    await sessions.reconcile(page(), Answer(json=shown("new-1", "syncing")))
    assert sessions.row("new-1")["status"] == "syncing"


async def test_nothing_is_gone_because_the_daemon_could_not_be_asked(sessions: Sessions) -> None:
    await sessions.keep(event(EventKind.QR, "kept-1", qr="x"))
    for answers in ([problem(401, "unauthorized")], [page(), problem(401, "unauthorized")], [Answer(body=b"<html>")]):
        sessions.daemon.will(*answers)
        code = "try { Artisan::call('blazz:reconcile'); } catch (Throwable $e) { return get_class($e); }"
        assert await sessions.run(f"use Illuminate\\Support\\Facades\\Artisan; {code}")
    assert sessions.row("kept-1")["status"] == "qr"


async def test_the_schedule_has_the_commands(sessions: Sessions) -> None:
    code = "app(Illuminate\\Console\\Scheduling\\Schedule::class)->events()"
    commands = await sessions.run(f"return array_map(fn ($e) => [$e->command, $e->expression], {code});")
    expected = {"blazz:sweep": "* * * * *", "blazz:reconcile": "*/5 * * * *"}
    assert {name: when for command, when in commands for name in expected if name in command} == expected


async def test_a_session_belongs_to_who_made_it(sessions: Sessions) -> None:
    created = Answer(status=202, json=shown("session-12-7", "pending") | {"created": True})
    assert (await sessions.ask("POST", "/whatsapp/session"))[0] == 401
    status, body = await sessions.ask("POST", "/whatsapp/session", created, user="12")
    assert (status, body) == (202, {"session_id": "session-12-7", "status": "pending"})
    assert sessions.daemon.asked[0].json == {"workspace_id": "7", "user_id": "12"}
    assert sessions.row("session-12-7")["user_id"] == "12"
    code = Answer(body=b"PNG", headers={"Content-Type": "image/png"})
    path = "/whatsapp/sessions/session-12-7/qr"
    assert await sessions.ask("GET", path, code, user="12") == (200, {"body": "PNG"})
    for user in (None, "13"):
        status, _ = await sessions.ask("GET", path, code, user=user)
        assert (status, sessions.daemon.asked) == (401 if user is None else 404, [])
    hidden = problem(409, "code_not_available", state="connected")
    assert (await sessions.ask("GET", path, hidden, user="12"))[0] == 204
    sessions.laravel.change("update whatsapp_sessions set workspace_id = '8'")
    assert (await sessions.ask("GET", path, code, user="12"))[0] == 404, "another application's user 12"


async def test_a_problem_becomes_an_answer_that_tells_nothing_of_the_inside(sessions: Sessions) -> None:
    taken = problem(409, "session_id_taken", hint="inside", session_id="x")
    status, body = await sessions.ask("POST", "/whatsapp/session", taken, user="12")
    assert (status, body) == (409, {"code": "session_id_taken", "outcome": "not_done", "state": None, "errors": {}})
    for inside in (problem(401, "unauthorized"), problem(500, "internal_error"), Answer(status=302)):
        status, body = await sessions.ask("POST", "/whatsapp/session", inside, inside, inside, user="12")
        assert (status, body["code"]) == (503, "unavailable")


async def test_in_a_group_the_author_is_kept_and_the_file_is_fetched(sessions: Sessions) -> None:
    told = {
        "id": "false_1-2@g.us_3A",
        "from": "1-2@g.us",
        "author": "55@c.us",
        "notify_name": "Ana 😀",
        "type": "image",
    }
    await sessions.keep(
        event(EventKind.MESSAGE, "media-1", **told, body="", has_media=True, timestamp=1_769_860_800), due=False
    )
    away = problem(409, "session_not_connected", state="starting")
    await sessions.work(away, jobs=2)
    (row,) = sessions.laravel.rows("select * from whatsapp_messages")
    assert (row["chat"], row["author"], row["notify_name"]) == ("1-2@g.us", "55@c.us", "Ana 😀")
    assert (row["has_media"], row["media_path"]) == (1, None)
    sessions.laravel.change("update jobs set available_at = 0")
    await sessions.work(Answer(body=b"\xff\xd8jpeg", headers={"Content-Type": "image/jpeg"}))
    assert sessions.daemon.asked[0].path.endswith("/sessions/media-1/messages/false_1-2%40g.us_3A/media")
    (row,) = sessions.laravel.rows("select * from whatsapp_messages")
    assert row["media_type"] == "image/jpeg"
    assert (sessions.laravel.home / "storage/app" / row["media_path"]).read_bytes() == b"\xff\xd8jpeg"


async def test_a_file_that_is_gone_is_asked_for_once(sessions: Sessions) -> None:
    told: Json = {"id": "false_1@c.us_3B", "from": "1@c.us", "type": "image", "has_media": True, "timestamp": 1}
    await sessions.keep(event(EventKind.MESSAGE, "media-2", **told), due=False)
    await sessions.work(problem(404, "media_not_found"))
    assert sessions.laravel.rows("select * from jobs") == []
    assert len(sessions.laravel.rows("select * from failed_jobs")) == 1


async def test_an_event_that_fails_for_good_is_given_up_until_somebody_asks(sessions: Sessions) -> None:
    await sessions.keep(event(EventKind.QR, "broken-1", qr="x"), due=False)
    jobs = "select count(*) n from jobs"
    for _ in range(30):
        sessions.laravel.change("delete from jobs", "update whatsapp_events set updated_at = '2020-01-01 00:00:00'")
        await sessions.run("return Illuminate\\Support\\Facades\\Artisan::call('blazz:sweep');")
    assert sessions.laravel.rows(jobs) == [{"n": 0}]
    await asyncio.to_thread(sessions.laravel.artisan, "blazz:sweep", "--failed")
    assert sessions.laravel.rows(jobs) == [{"n": 1}]
    await sessions.work()
    assert sessions.row("broken-1")["status"] == "qr"
