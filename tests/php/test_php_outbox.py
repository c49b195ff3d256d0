"""The documented outbox: real queue workers against a daemon that answers whatever may come.

Time goes by in the database: `due` makes the next try's time come.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from tests.php.application import Console, LaravelApplication
from tests.php.daemon_double import SENT, TOKEN, Answer, Asked, DaemonDouble, problem

pytestmark = pytest.mark.asyncio(loop_scope="module")

TO = "+5511999990000"
UNKNOWN_KEY = problem(404, "send_not_found")
LONG_AGO = "2020-01-01 00:00:00"


class Outbox:
    """The outbox of an application, whose daemon is a double."""

    def __init__(self, daemon: DaemonDouble, laravel: LaravelApplication, console: Console) -> None:
        self.daemon = daemon
        self.laravel = laravel
        self._console = console

    async def run(self, code: str) -> Any:
        return await asyncio.to_thread(self._console.run, code)

    async def place(
        self, *, expires: str = "addHour()", content: str = "['message' => 'Hello']", session: str = "s"
    ) -> str:
        code = f"App\\Models\\WhatsappOutbox::place('{session}', '{TO}', {content}, null, now()->{expires})"
        return str(await self.run(f"return {code}->id;"))

    async def work(self, *answers: Answer, jobs: int = 0) -> list[Asked]:
        """Let a worker run what is due, or so many jobs of it, with these answers; return what the daemon was asked."""
        self.daemon.will(*answers)
        await asyncio.to_thread(self.laravel.work, jobs=jobs)
        return self.daemon.asked

    async def again(self, *answers: Answer, jobs: int = 0) -> list[Asked]:
        """The same when the time of the next try has come."""
        self.due()
        return await self.work(*answers, jobs=jobs)

    async def sweep(self, *words: str) -> None:
        await asyncio.to_thread(self.laravel.artisan, "blazz:sweep", *words)

    def due(self) -> None:
        self.laravel.change(
            f"update whatsapp_outbox set next_try_at = '{LONG_AGO}' where status = 'pending'",
            "update jobs set available_at = 0",
        )

    def row(self, row_id: str) -> dict[str, Any]:
        return self.laravel.rows("select * from whatsapp_outbox where id = ?", row_id)[0]

    def status(self, row_id: str) -> tuple[str, str | None]:
        row = self.row(row_id)
        return row["status"], row["problem_code"]

    def jobs(self) -> list[dict[str, Any]]:
        return self.laravel.rows("select * from jobs order by id")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def application(home: Path) -> AsyncIterator[Outbox]:
    async with DaemonDouble() as daemon:
        laravel = LaravelApplication(home, url=daemon.url, token=TOKEN, secrets="not-used-by-these-tests")
        with laravel.console() as console:
            yield Outbox(daemon, laravel, console)


@pytest_asyncio.fixture(loop_scope="module")
async def outbox(application: Outbox) -> AsyncIterator[Outbox]:
    yield application
    failed = application.laravel.rows("select exception from failed_jobs")
    application.laravel.change(*(f"delete from {t}" for t in ("jobs", "failed_jobs", "whatsapp_outbox")))
    assert failed == []


async def test_a_message_is_tried_under_one_key_until_it_is_known_to_be_sent(outbox: Outbox) -> None:
    row_id = await outbox.place()
    await outbox.work(Answer(cut=True), jobs=1)
    row = outbox.row(row_id)
    assert (row["status"], row["doubtful"], row["attempts"]) == ("pending", 1, 1)
    await outbox.again(problem(409, "session_not_connected", outcome="not_sent", state="starting"), jobs=1)
    assert outbox.status(row_id) == ("pending", "session_not_connected")
    (asked,) = await outbox.again(SENT)
    assert asked.headers["Idempotency-Key"] == row_id
    row = outbox.row(row_id)
    assert (row["status"], row["message_id"], row["problem_code"]) == ("sent", "true_55@c.us_3EB0", None)
    # The application's time zone is three hours behind UTC.
    assert row["sent_at"] == "2026-01-31 09:00:00"
    message = outbox.laravel.rows("select * from whatsapp_messages where message_id = ?", row["message_id"])[0]
    assert (message["direction"], message["body"], message["ack"]) == ("out", "Hello", 1)
    assert outbox.jobs() == [], "a row that is settled is not sent"


async def test_it_ends_with_what_is_certain(outbox: Outbox) -> None:
    refused = await outbox.place()
    await outbox.work(problem(422, "recipient_not_on_whatsapp", outcome="not_sent"))
    assert outbox.status(refused) == ("failed", "recipient_not_on_whatsapp")
    # The daemon cannot know that the key is new when it refuses who asks.
    stranger = await outbox.place()
    await outbox.work(problem(401, "unauthorized", outcome="unknown"))
    assert outbox.status(stranger) == ("failed", "unauthorized") and not outbox.row(stranger)["doubtful"]


@pytest.mark.parametrize(
    ("known", "status"),
    [
        (Answer(json={"outcome": "sent", "message_id": "m2", "ack": 2, "timestamp": None}), "sent"),
        (Answer(json={"outcome": "not_sent", "message_id": "m2"}), "failed"),
        (Answer(json={"outcome": "unknown", "message_id": None}), "unknown"),
        (Answer(json={"outcome": "sent", "message_id": None}), "unknown"),
        (Answer(json={"outcome": "pending", "message_id": "m2"}), "unknown"),
        (UNKNOWN_KEY, "unknown"),
        (Answer(cut=True), "unknown"),
        (Answer(body=b"<html>"), "unknown"),
    ],
)
async def test_what_may_have_been_sent_and_has_expired_is_asked_for_and_not_sent_again(
    outbox: Outbox, known: Answer, status: str
) -> None:
    row_id = await outbox.place()
    await outbox.work(Answer(cut=True), jobs=1)
    # As after a day without workers: the job is lost, and the daemon has forgotten the key.
    outbox.laravel.change(f"update whatsapp_outbox set expires_at = '{LONG_AGO}'", "delete from jobs")
    outbox.due()
    await outbox.sweep()
    asked = await outbox.work(known)
    assert [a.method for a in asked] == ["GET"] and asked[0].path.endswith(f"/sessions/s/sends/{row_id}")
    assert outbox.row(row_id)["status"] == status
    assert outbox.jobs() == []


async def test_what_has_expired_before_its_first_try_has_certainly_not_been_sent(outbox: Outbox) -> None:
    row_id = await outbox.place(expires="subSecond()")
    assert await outbox.work() == []
    assert outbox.status(row_id) == ("failed", "expired")


async def test_no_message_is_tried_for_longer_than_its_key_is_known(outbox: Outbox) -> None:
    row_id = await outbox.place(expires="addDays(3)")
    await outbox.work(Answer(cut=True), jobs=1)
    tried = await outbox.run("return now()->subHours(21)->toDateTimeString();")
    outbox.laravel.change(f"update whatsapp_outbox set first_tried_at = '{tried}'")
    asked = await outbox.again(UNKNOWN_KEY)
    assert [a.method for a in asked] == ["GET"]
    assert outbox.status(row_id) == ("unknown", "connection_lost")


async def test_no_refusal_is_believed_after_a_worker_was_killed_in_the_middle(outbox: Outbox) -> None:
    row_id = await outbox.place()
    # What a worker leaves behind that wrote this before its request and then was killed.
    outbox.laravel.change("update whatsapp_outbox set doubtful = 1")
    asked = await outbox.work(problem(401, "unauthorized", outcome="unknown"), UNKNOWN_KEY, jobs=1)
    assert [a.method for a in asked] == ["POST"], "one request is all that a job has time for"
    await outbox.work(UNKNOWN_KEY)
    assert outbox.status(row_id) == ("unknown", "unauthorized")


async def test_a_file_that_is_missing_fails_at_once(outbox: Outbox) -> None:
    for content in ("['file' => ['path' => 'none.pdf']]", "['file' => ['disk' => 'none', 'path' => 'none.pdf']]"):
        row_id = await outbox.place(content=content)
        assert await outbox.work() == []
        assert outbox.status(row_id) == ("failed", "file_unreadable")
        assert outbox.row(row_id)["attempts"] == 1


@pytest.mark.parametrize("foreign", [Answer(body=b"<html>"), Answer(status=204), Answer(json={"status": "ok"})])
async def test_an_answer_of_somebody_else_is_not_taken_for_sent(outbox: Outbox, foreign: Answer) -> None:
    row_id = await outbox.place()
    assert len(await outbox.work(foreign, jobs=3)) == 1
    row = outbox.row(row_id)
    assert (row["status"], row["problem_code"], row["doubtful"]) == ("pending", "unexpected_answer", 1)
    await outbox.again(SENT)
    assert outbox.row(row_id)["status"] == "sent"


async def test_a_bug_of_the_application_is_met_once(outbox: Outbox) -> None:
    await outbox.run("Illuminate\\Support\\Facades\\Storage::put('a.txt', 'text');")
    row_id = await outbox.place(content="['file' => ['path' => 'a.txt', 'caption' => ['no', 'text']]]")
    asked = await outbox.work(UNKNOWN_KEY)
    assert [a.method for a in asked] == ["GET"]
    assert outbox.status(row_id) == ("unknown", "application_error")


async def test_what_was_sent_is_settled_whatever_fails_after_it(outbox: Outbox) -> None:
    outbox.laravel.change(
        "create trigger broken before insert on whatsapp_messages begin select raise(fail, 'broken'); end"
    )
    try:
        row_id = await outbox.place()
        sent = Answer(json={"outcome": "sent", "message_id": "settled-1", "timestamp": "no time"})
        assert len(await outbox.work(sent)) == 1
    finally:
        outbox.laravel.change("drop trigger broken")
    row = outbox.row(row_id)
    assert (row["status"], row["message_id"]) == ("sent", "settled-1")


async def test_a_database_that_cannot_settle_is_not_asked_in_a_loop(outbox: Outbox) -> None:
    outbox.laravel.change(
        "create trigger broken before update on whatsapp_outbox when new.status = 'sent' "
        "begin select raise(fail, 'broken'); end"
    )
    try:
        row_id = await outbox.place()
        assert len(await outbox.work(SENT, jobs=3)) == 1
    finally:
        outbox.laravel.change("drop trigger broken")
    (job,) = outbox.jobs()
    assert (outbox.row(row_id)["doubtful"], job["available_at"] - job["created_at"] >= 175) == (1, True)
    asked = await outbox.again(SENT)
    assert [a.headers["Idempotency-Key"] for a in asked] == [row_id]
    assert outbox.row(row_id)["status"] == "sent"


async def test_a_try_that_failed_is_waited_for_longer_each_time_and_no_job_is_released(outbox: Outbox) -> None:
    row_id = await outbox.place()
    for attempt in range(1, 6):
        before = datetime.now(ZoneInfo("America/Sao_Paulo"))
        await outbox.again(problem(503, "shard_unavailable", outcome="not_sent", retry_after=2), jobs=1)
        row = outbox.row(row_id)
        at = datetime.fromisoformat(row["next_try_at"]).replace(tzinfo=before.tzinfo)
        assert row["attempts"] == attempt
        assert 2**attempt - 1 <= (at - before).total_seconds() <= 1.5 * 2**attempt + 20
        (job,) = outbox.jobs()
        assert job["attempts"] == 0, "MySQL's column holds no more than 255"


async def test_a_longer_retry_after_is_kept_up_to_the_time_of_giving_up(outbox: Outbox) -> None:
    row_id = await outbox.place()
    await outbox.work(problem(429, "rate_limited", outcome="not_sent", retry_after=86_400), jobs=1)
    row = outbox.row(row_id)
    assert row["next_try_at"] == row["expires_at"]


async def test_a_job_that_was_overtaken_changes_nothing(outbox: Outbox) -> None:
    """It hung for longer than it may, another one took the row, lost its answer, and now the first one is refused."""
    row_id = await outbox.place()
    overtaken = "update whatsapp_outbox set attempts = attempts + 1, doubtful = 1, problem_code = 'of the other'"
    refused = problem(401, "unauthorized", outcome="unknown").json
    await outbox.work(Answer(status=401, json=refused, meanwhile=lambda: outbox.laravel.change(overtaken)), jobs=1)
    row = outbox.row(row_id)
    assert (row["status"], row["doubtful"], row["problem_code"]) == ("pending", 1, "of the other")


async def test_a_message_that_another_job_has_is_left_alone(outbox: Outbox) -> None:
    await outbox.place()

    def another_worker() -> None:
        outbox.laravel.change("insert into jobs select null, queue, payload, 0, null, 0, 0 from jobs limit 1")
        outbox.laravel.work(jobs=1)

    assert len(await outbox.work(Answer(json=SENT.json, meanwhile=another_worker))) == 1


async def test_the_messages_of_a_session_go_out_in_the_order_of_placing(outbox: Outbox) -> None:
    for text in ("one", "two", "three"):
        await outbox.place(content=f"['message' => '{text}']")
    other = await outbox.place(content="['message' => 'elsewhere']", session="other")
    away = problem(409, "session_not_connected", outcome="not_sent", state="starting")
    asked = await outbox.work(away, SENT, jobs=4)
    assert [a.json["message"] for a in asked] == ["one", "elsewhere"], "the others of the session wait for it"
    assert outbox.row(other)["status"] == "sent"
    asked = await outbox.again(SENT, SENT, SENT)
    assert [a.json["message"] for a in asked] == ["one", "two", "three"]
    assert outbox.jobs() == []


async def test_a_file_keeps_its_name(outbox: Outbox) -> None:
    await outbox.run("Illuminate\\Support\\Facades\\Storage::put('x/8f3a', 'text');")
    await outbox.place(content="['file' => ['path' => 'x/8f3a', 'filename' => 'Invoice 17.pdf', 'caption' => 'c']]")
    (asked,) = await outbox.work(SENT)
    assert asked.json["file"] == ("Invoice 17.pdf", base64.b64encode(b"text").decode())


async def test_the_sweep_brings_back_what_the_queue_lost(outbox: Outbox) -> None:
    waits = await outbox.place()
    outbox.laravel.change("delete from jobs")
    await outbox.sweep()
    assert outbox.jobs() == [], "its job may still come"
    outbox.due()
    await outbox.sweep()
    await outbox.sweep()
    assert len(outbox.jobs()) == 1
    await outbox.work(SENT)
    assert outbox.row(waits)["status"] == "sent"
