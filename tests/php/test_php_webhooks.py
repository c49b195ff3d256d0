"""The documented webhook route under PHP's own web server: what it takes, what it refuses, and what its jobs make."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from daemon.core.clock import utc_now
from daemon.core.ids import new_id
from daemon.sessions.events import Event, EventKind
from daemon.webhooks.body import body_of
from daemon.webhooks.signature import sign
from tests.php.application import WEBHOOK_PATH, Console, LaravelApplication

SECRET = "webhook-secret-of-these-tests"
NEXT = "the-secret-that-comes-next-é"


class Receiver:
    """The application, as the daemon sees it."""

    def __init__(self, laravel: LaravelApplication, url: str, console: Console) -> None:
        self.laravel = laravel
        self.url = url
        self.console = console
        self._http = httpx.Client(timeout=20)

    def post(
        self, body: bytes, *, late_s: int = 0, secrets: tuple[str, ...] = (SECRET,), path: str = WEBHOOK_PATH
    ) -> int:
        """Post a body as the daemon does, signed with each secret; return the status."""
        at = int(time.time()) - late_s
        headers = {
            "Content-Type": "application/json",
            "X-Webhook-Timestamp": str(at),
            "X-Webhook-Signature": ",".join(sign(secret, at, body) for secret in secrets),
        }
        return self._http.post(self.url + path, content=body, headers=headers).status_code

    def tell(self, *events: Event) -> None:
        """Deliver events."""
        for event in events:
            assert self.post(body_of(event)) == 204, self.laravel.logs()[-3000:]

    def events(self, event_id: str) -> list[dict[str, Any]]:
        return self.laravel.rows("select * from whatsapp_events where event_id = ?", event_id)

    def session(self, session_id: str) -> dict[str, Any]:
        return self.laravel.rows("select * from whatsapp_sessions where session_id = ?", session_id)[0]

    def message(self, message_id: str) -> dict[str, Any]:
        (found,) = self.laravel.rows("select * from whatsapp_messages where message_id = ?", message_id)
        return found

    def handle(self, *events: Event) -> None:
        """Run the jobs of events in this order, whatever the queue holds."""
        for event in events:
            row = self.events(event.event_id)[0]["id"]
            code = (
                f"$event = App\\Models\\WhatsappEvent::find({row});"
                "config(['queue.default' => 'sync']); $event->dispatchJob(); config(['queue.default' => 'database']);"
            )
            self.console.run(code)
            assert self.events(event.event_id)[0]["processed_at"] is not None


@pytest.fixture(scope="module")
def receiver(home: Path) -> Iterator[Receiver]:
    laravel = LaravelApplication(home, url="http://127.0.0.1:1", token="t", secrets=f"{NEXT}, {SECRET}")
    with laravel.served() as url, laravel.console() as console:
        yield Receiver(laravel, url, console)


def event(kind: EventKind, session_id: str, **data: Any) -> Event:
    return Event(
        event_id=new_id("evt"),
        kind=kind,
        session_id=session_id,
        workspace_id="7",
        user_id="12",
        at=utc_now(),
        data=data,
    )


def message(session_id: str, body: str) -> Event:
    told = {"id": new_id("m"), "from": "5511888880001@c.us", "to": "55@c.us", "type": "chat", "from_me": False}
    return event(EventKind.MESSAGE, session_id, **told, body=body, timestamp=1_769_860_800)


def test_a_message_becomes_a_row_by_way_of_the_queue(receiver: Receiver) -> None:
    told = message("s-row", "  olá 😀 \u2028 日本  ")
    receiver.tell(told)
    (stored,) = receiver.events(told.event_id)
    assert (stored["processed_at"], json.loads(stored["payload"])["data"]["body"]) == (None, told.data["body"])
    receiver.laravel.work()
    row = receiver.message(told.data["id"])
    assert (row["body"], row["direction"], row["chat"]) == (told.data["body"], "in", "5511888880001@c.us")
    assert row["sent_at"] == "2026-01-31 09:00:00", "the application's time is three hours behind UTC"
    assert receiver.events(told.event_id)[0]["processed_at"] is not None


def test_what_is_forged_old_or_changed_is_refused_and_leaves_no_row(receiver: Receiver) -> None:
    before = receiver.laravel.rows("select count(*) n from whatsapp_events")
    body = body_of(message("s-forged", "x"))
    assert receiver.post(body, secrets=("a-forgers-secret-that-is-long",)) == 401
    assert receiver.post(body, secrets=("",)) == 401
    assert receiver.post(body, secrets=()) == 401
    assert receiver.post(body, late_s=310) == 401
    assert receiver.post(body, late_s=-310) == 401
    at = int(time.time())
    headers = {"X-Webhook-Timestamp": str(at), "X-Webhook-Signature": sign(SECRET, at, body)}
    assert httpx.post(receiver.url + WEBHOOK_PATH, content=body + b" ", headers=headers).status_code == 401
    assert httpx.post(receiver.url + WEBHOOK_PATH, content=body).status_code == 401
    assert receiver.post(b"no JSON") == 400
    assert receiver.post(b'{"id": 5, "event": "message"}') == 400
    assert receiver.laravel.rows("select count(*) n from whatsapp_events") == before


def test_either_of_two_secrets_is_accepted_while_they_are_changed(receiver: Receiver) -> None:
    for secrets in ((SECRET,), (NEXT,), ("retired-secret-of-tests", NEXT), (SECRET, "unknown-new-secret")):
        assert receiver.post(body_of(message("s-rotate", "x")), secrets=secrets) == 204


async def test_an_event_that_comes_many_times_at_once_makes_one_row_and_is_handled_once(receiver: Receiver) -> None:
    told = message("s-twice", "once")
    await asyncio.gather(*(asyncio.to_thread(receiver.post, body_of(told)) for _ in range(6)))
    assert len(receiver.events(told.event_id)) == 1
    jobs = receiver.laravel.rows("select * from jobs where payload like '%StoreIncomingMessage%'")
    assert len(jobs) > 1, "each post before the first job ran puts a job: the first may have been lost"
    receiver.laravel.work()
    assert receiver.message(told.data["id"])["body"] == "once"
    receiver.tell(told)
    assert receiver.laravel.rows("select * from jobs") == [], "what is handled gets no job"
    receiver.console.run("Illuminate\\Support\\Facades\\DB::table('whatsapp_messages')->update(['body' => 'mine']);")
    receiver.handle(told)
    assert receiver.message(told.data["id"])["body"] == "mine", "a job that comes late does nothing"
    assert receiver.laravel.rows("select * from failed_jobs") == []


def test_late_events_change_nothing_that_is_newer(receiver: Receiver) -> None:
    qr = event(EventKind.QR, "s-order", qr="a-secret-code")
    known = event(EventKind.AUTHENTICATED, "s-order", phone="5511999990000", pushname="Ana")
    ready = event(EventKind.READY, "s-order", phone="5511999990000", pushname="Ana")
    receiver.tell(qr, known, ready)
    receiver.handle(ready, qr, known)
    shown = receiver.session("s-order")
    assert (shown["status"], shown["code"], shown["phone"]) == ("connected", None, "5511999990000")
    assert (shown["workspace_id"], shown["user_id"]) == ("7", "12")
    assert "a-secret-code" not in str(receiver.events(qr.event_id))
    ended = event(EventKind.DISCONNECTED, "s-order", reason="logged_out", logged_out=True)
    receiver.tell(ended)
    receiver.handle(ended)
    assert (receiver.session("s-order")["status"], receiver.session("s-order")["reason"]) == (
        "disconnected",
        "logged_out",
    )


def test_acks_grow_and_edits_keep_the_newest_whatever_comes_first(receiver: Receiver) -> None:
    read, sent = (event(EventKind.MESSAGE_ACK, "s-acks", message_id="out-1", ack=ack, chat="55@c.us") for ack in (3, 1))
    receiver.tell(read, sent)
    receiver.handle(read, sent)
    assert receiver.message("out-1")["ack"] == 3
    told = message("s-acks", "first")
    message_id = told.data["id"]
    edited = event(EventKind.MESSAGE_EDITED, "s-acks", message_id=message_id, body="second")
    again = event(EventKind.MESSAGE_EDITED, "s-acks", message_id=message_id, body="third")
    liked = event(EventKind.MESSAGE_REACTION, "s-acks", message_id=message_id, **{"from": "55@c.us"}, emoji="👍")
    gone = event(EventKind.MESSAGE_REVOKED, "s-acks", message_id=message_id)
    receiver.tell(told, edited, again, liked, gone)
    receiver.handle(gone, again, liked, edited, told)
    row = receiver.message(message_id)
    assert (row["body"], row["direction"]) == ("third", "in")
    assert json.loads(row["reactions"])["55@c.us"]["emoji"] == "👍"
    assert row["revoked_at"] is not None


def test_every_event_of_the_daemon_is_kept_and_handled(receiver: Receiver) -> None:
    told = [event(kind, "s-all", message_id="all-1", id="all-2", timestamp=1, code="X") for kind in EventKind]
    receiver.tell(*told)
    receiver.laravel.work()
    left = receiver.laravel.rows("select event from whatsapp_events where processed_at is null")
    assert left == [] and receiver.laravel.rows("select exception from failed_jobs") == []


def test_without_a_secret_the_route_takes_nothing_and_the_daemon_tries_again(receiver: Receiver) -> None:
    with receiver.laravel.served(BLAZZ_WEBHOOK_SECRETS=" , ") as url:
        unset = Receiver(receiver.laravel, url, receiver.console)
        assert unset.post(body_of(message("s-unset", "x")), secrets=("",)) == 500
    assert receiver.laravel.rows("select * from whatsapp_events where session_id = 's-unset'") == []


@pytest.fixture
async def web_group(receiver: Receiver) -> AsyncIterator[str]:
    """The same application with its route in the group `web`, as the page also allows."""
    with receiver.laravel.served(WEBHOOK_IN_WEB="1") as url:
        yield url


async def test_in_the_group_web_the_exemption_from_csrf_is_what_lets_webhooks_in(
    receiver: Receiver, web_group: str
) -> None:
    inside = Receiver(receiver.laravel, web_group, receiver.console)
    assert inside.post(body_of(message("s-web", "x"))) == 204
    assert inside.post(body_of(message("s-web", "x")), path="/protected") == 419
    assert inside.post(body_of(message("s-web", "x")), secrets=("a-forgers-secret-that-is-long",)) == 401
