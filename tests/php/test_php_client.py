"""The documented client against a daemon that answers whatever may come."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.php.application import Console, LaravelApplication, Thrown
from tests.php.daemon_double import SENT, TOKEN, Answer, DaemonDouble, problem
from tests.php.documented import blocks

pytestmark = pytest.mark.asyncio(loop_scope="module")

TO = "+5511999990000"


class Side:
    """Laravel's side of the talk with the double."""

    def __init__(self, daemon: DaemonDouble, laravel: LaravelApplication, console: Console) -> None:
        self.daemon = daemon
        self.laravel = laravel
        self._console = console

    async def call(self, method: str, *, tries: int = 3, **arguments: Any) -> Any:
        return await asyncio.to_thread(self._console.call, method, tries=tries, **arguments)

    async def run(self, code: str) -> Any:
        return await asyncio.to_thread(self._console.run, code)

    async def text(self, **arguments: Any) -> Any:
        return await self.call("sendText", sessionId="s", to=TO, text="Hello", key="key-1", **arguments)

    async def refused(self, *answers: Answer, tries: int = 1) -> Thrown:
        self.daemon.will(*answers)
        with pytest.raises(Thrown) as thrown:
            await self.text(tries=tries)
        return thrown.value


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def side(home: Path) -> AsyncIterator[Side]:
    async with DaemonDouble() as daemon:
        laravel = LaravelApplication(home, url=daemon.url, token=TOKEN, secrets="not-used-by-these-tests")
        with laravel.console() as console:
            yield Side(daemon, laravel, console)


async def test_every_kind_of_message_is_asked_for_as_the_api_wants_it(side: Side, tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"\xff\xd8jpeg")
    data = base64.b64encode(b"plain").decode()
    media = {"content": "plain", "mimetype": "text/plain", "filename": "a.txt", "caption": "c", "kind": "document"}
    kinds: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("sendText", {"text": "olá 😀", "replyTo": "m"}, {"message": "olá 😀", "reply_to": "m"}),
        (
            "sendMedia",
            media,
            {
                "media": {
                    "data": data,
                    "mimetype": "text/plain",
                    "filename": "a.txt",
                    "caption": "c",
                    "kind": "document",
                }
            },
        ),
        (
            "sendLocation",
            {"latitude": -23.5, "longitude": 0.0, "name": "here"},
            {"location": {"latitude": -23.5, "longitude": 0.0, "name": "here"}},
        ),
        ("sendContact", {"name": "Ana", "phone": TO}, {"contact": {"name": "Ana", "phone": TO}}),
        ("sendReaction", {"messageId": "m", "emoji": ""}, {"reaction": {"message_id": "m", "emoji": ""}}),
        (
            "sendFile",
            {"file": str(file), "caption": "c", "kind": "image", "replyTo": "m"},
            {
                "file": ("photo.jpg", base64.b64encode(b"\xff\xd8jpeg").decode()),
                "caption": "c",
                "kind": "image",
                "reply_to": "m",
            },
        ),
    ]
    for method, arguments, body in kinds:
        side.daemon.will(SENT)
        sent = await side.call(method, sessionId="s", to=TO, key="key-1", **arguments)
        asked = side.daemon.asked[0]
        assert asked.json == {"session_id": "s", "to": TO, **body}
        assert asked.path == ("/api/whatsapp/send/file" if method == "sendFile" else "/api/whatsapp/send")
        assert (asked.headers["Authorization"], asked.headers["Idempotency-Key"]) == (f"Bearer {TOKEN}", "key-1")
        assert (sent["outcome"], sent["messageId"], sent["replayed"]) == ("sent", "true_55@c.us_3EB0", False)


async def test_the_example_of_the_page_works(side: Side) -> None:
    example = next(b.code for b in blocks() if b.path is None and "createSession" in b.code).removeprefix("<?php")
    created = Answer(status=202, json={"session_id": "session-12-7", "status": "pending", "created": True})
    side.daemon.will(created, SENT)
    assert await side.run(f"{example}\nreturn $sent->messageId;") == "true_55@c.us_3EB0"
    assert side.daemon.asked[0].json == {"workspace_id": 7, "user_id": 12, "metadata": {"team": "blue"}}
    side.daemon.will(created, problem(409, "session_not_connected", outcome="not_sent", state="qr"))
    assert await side.run(f"{example}\nreturn $e->state();") == "qr"


async def test_a_send_is_repeated_with_the_same_key_while_nobody_knows(side: Side, tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * 200_000)
    side.daemon.will(Answer(cut=True), problem(503, "outcome_unknown", outcome="unknown", retry_after=0), SENT)
    sent = await side.call("sendFile", sessionId="s", to=TO, file=str(file), key="key-1")
    assert sent["outcome"] == "sent"
    asked = side.daemon.asked
    assert [a.headers["Idempotency-Key"] for a in asked] == ["key-1"] * 3
    assert asked[0].json == asked[1].json == asked[2].json, "each try has the whole file"


async def test_retry_after_is_honoured_up_to_a_limit(side: Side) -> None:
    side.daemon.will(problem(429, "send_queue_full", outcome="not_sent", retry_after=1), SENT)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await side.text()
    assert loop.time() - began >= 1 and len(side.daemon.asked) == 2
    thrown = await side.refused(problem(429, "send_queue_full", outcome="not_sent", retry_after=3600), tries=3)
    assert (thrown.kind, thrown.facts["retry_after"], len(side.daemon.asked)) == ("TooManyRequestsException", 3600, 1)


async def test_what_is_not_idempotent_is_not_repeated_after_an_unknown_outcome(side: Side) -> None:
    side.daemon.will(Answer(cut=True))
    with pytest.raises(Thrown, match="no answer"):
        await side.call("pairingCode", sessionId="s", phone=TO)
    code = Answer(json={"code": "ABCD1234", "phone": "5511999990000", "seen_at": "2026-01-31T12:00:00.000Z"})
    side.daemon.will(problem(503, "shard_unavailable", outcome="not_done", retry_after=0), code)
    assert await side.call("pairingCode", sessionId="s", phone=TO) == "ABCD1234"


@pytest.mark.parametrize(
    ("answer", "kind", "parent", "outcome", "transient"),
    [
        (problem(401, "unauthorized"), "UnauthorizedException", "BlazzException", "not_done", False),
        (problem(403, "some_new_code"), "UnauthorizedException", "BlazzException", "not_done", False),
        (problem(404, "session_not_found"), "NotFoundException", "BlazzException", "not_done", False),
        (
            problem(409, "session_not_connected", outcome="not_sent", state="qr"),
            "SessionNotConnectedException",
            "ConflictException",
            "not_sent",
            False,
        ),
        (problem(409, "send_in_progress"), "SendInProgressException", "ConflictException", "not_done", True),
        (problem(409, "session_id_taken"), "ConflictException", "BlazzException", "not_done", False),
        (
            problem(422, "recipient_not_on_whatsapp", outcome="not_sent"),
            "RecipientNotOnWhatsappException",
            "InvalidInputException",
            "not_sent",
            False,
        ),
        (problem(422, "idempotency_key_reused"), "InvalidInputException", "BlazzException", "not_done", False),
        (problem(413, "body_too_large"), "InvalidInputException", "BlazzException", "not_done", False),
        (problem(408, "body_too_slow", outcome="not_sent"), "UnavailableException", "BlazzException", "not_sent", True),
        (problem(429, "rate_limited"), "TooManyRequestsException", "BlazzException", "not_done", True),
        (
            problem(502, "action_failed", outcome="not_sent"),
            "ActionFailedException",
            "BlazzException",
            "not_sent",
            False,
        ),
        (
            problem(503, "shard_unavailable", outcome="not_sent"),
            "UnavailableException",
            "BlazzException",
            "not_sent",
            True,
        ),
        (
            problem(503, "outcome_unknown", outcome="unknown"),
            "OutcomeUnknownException",
            "UnavailableException",
            "unknown",
            True,
        ),
        (problem(500, "internal_error"), "UnavailableException", "BlazzException", "unknown", True),
        (Answer(status=502, body=b"<html>proxy"), "UnavailableException", "BlazzException", "unknown", True),
        (
            Answer(status=302, headers={"Location": "http://elsewhere.invalid/"}),
            "UnavailableException",
            "BlazzException",
            "unknown",
            True,
        ),
        (Answer(cut=True), "ConnectionLostException", "UnavailableException", "unknown", True),
    ],
)
async def test_a_problem_is_an_exception_of_its_kind(
    side: Side, answer: Answer, kind: str, parent: str, outcome: str, transient: bool
) -> None:
    thrown = await side.refused(answer)
    assert (thrown.kind, thrown.kinds[1]) == (kind, parent)
    assert (thrown.facts["outcome"], thrown.facts["transient"]) == (outcome, transient)
    if answer.json:
        assert (thrown.facts["code"], thrown.facts["status"]) == (answer.json["code"], answer.status)
    assert "Hello" not in str(thrown.facts) and TOKEN not in str(thrown.facts)


async def test_the_fields_that_are_wrong_can_be_read(side: Side) -> None:
    errors = [{"field": "to", "message": "is no chat"}, {"field": "message", "message": "is too long"}]
    thrown = await side.refused(problem(422, "invalid_input", errors=errors))
    assert thrown.facts["errors"] == {"to": "is no chat", "message": "is too long"}


async def test_a_key_that_no_header_can_carry_is_refused_before_anything_is_asked(side: Side) -> None:
    side.daemon.will()
    for key in ("", "with space", "é", "line\r\nbreak", "k" * 256):
        with pytest.raises(Thrown, match="visible ASCII"):
            await side.call("sendText", sessionId="s", to=TO, text="x", key=key)
    assert side.daemon.asked == []


async def test_lists_are_read_page_by_page(side: Side) -> None:
    pages = [{"sessions": [{"session_id": f"s{n}"}], "next_cursor": f"c{n}" if n < 2 else None} for n in range(3)]
    side.daemon.will(*(Answer(json=page) for page in pages))
    found = await side.call("sessions", filters={"status": "qr"}, pageSize=1)
    assert [session["session_id"] for session in found] == ["s0", "s1", "s2"]
    assert [a.query.get("cursor") for a in side.daemon.asked] == [None, "c0", "c1"]
    assert all(a.query["status"] == "qr" and a.query["limit"] == "1" for a in side.daemon.asked)


async def test_ids_stay_in_their_place_of_the_path(side: Side) -> None:
    side.daemon.will(Answer(body=b"\x00\xff", headers={"Content-Type": "image/jpeg"}))
    await side.run(
        "[$m] = [app(App\\Services\\Blazz\\BlazzClient::class)->media('s', 'false_55@c.us/../x')];"
        "return [$m['mimetype'], bin2hex($m['content'])] === ['image/jpeg', '00ff'] ?: throw new Exception('other');"
    )
    assert side.daemon.asked[0].path == "/api/whatsapp/sessions/s/messages/false_55%40c.us%2F..%2Fx/media"
    side.daemon.will(Answer(json={"outcome": "pending", "message_id": "m"}))
    known = await side.call("outcomeOf", sessionId="s", key="a/b")
    assert (known["outcome"], side.daemon.asked[0].path) == ("pending", "/api/whatsapp/sessions/s/sends/a%2Fb")


async def test_deleting_what_is_gone_is_no_error(side: Side) -> None:
    side.daemon.will(problem(404, "session_not_found"))
    assert await side.call("delete", sessionId="s") is None
    side.daemon.will(problem(404, "not_found"))
    with pytest.raises(Thrown, match="not_found"):
        await side.call("delete", sessionId="s")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"<html>please log in", headers={"Content-Type": "text/html"}),
        Answer(status=204),
        Answer(json=["sent"]),
        Answer(json={"status": "ok"}),
        Answer(json={"outcome": "unknown", "message_id": "m"}),
        Answer(json={"outcome": "sent", "message_id": None}),
        Answer(json={"outcome": "sent", "message_id": {"id": "m"}}),
    ],
)
async def test_only_the_daemons_own_word_counts_as_sent(side: Side, answer: Answer) -> None:
    thrown = await side.refused(answer)
    assert "UnavailableException" in thrown.kinds
    assert (thrown.facts["code"], thrown.facts["outcome"]) == ("unexpected_answer", "unknown")


async def test_what_does_not_come_from_the_daemon_is_a_problem_of_every_method(side: Side) -> None:
    foreign = Answer(json={"hello": "world", "code": 5, "outcome": "not_done"})
    for method, arguments in (
        ("session", {"sessionId": "s"}),
        ("sessions", {}),
        ("createSession", {"workspaceId": 1, "userId": 2}),
        ("start", {"sessionId": "s"}),
        ("contact", {"sessionId": "s", "phone": TO}),
    ):
        for answer in (foreign, Answer(status=204)):
            side.daemon.will(answer)
            with pytest.raises(Thrown) as thrown:
                await side.call(method, tries=1, **arguments)
            assert thrown.value.facts["code"] == "unexpected_answer", method


async def test_what_cannot_even_be_asked_is_a_problem_too(side: Side, tmp_path: Path) -> None:
    side.daemon.will()
    for file in (tmp_path / "missing", tmp_path):
        with pytest.raises(Thrown) as thrown:
            await side.call("sendFile", sessionId="s", to=TO, file=str(file), key="key-1")
        assert (thrown.value.kind, thrown.value.facts["code"]) == ("InvalidInputException", "file_unreadable")
        assert thrown.value.facts["outcome"] == "not_sent"
    with pytest.raises(Thrown) as thrown:
        await side.run("app(App\\Services\\Blazz\\BlazzClient::class)->sendText('s', '55', \"\\xff\", 'key-1');")
    assert (thrown.value.kind, thrown.value.facts["code"]) == ("InvalidInputException", "not_json")
    assert side.daemon.asked == []


async def test_an_outcome_that_nobody_knows_any_more_has_no_message_id(side: Side) -> None:
    side.daemon.will(Answer(json={"outcome": "unknown", "message_id": None}))
    known = await side.call("outcomeOf", sessionId="s", key="k")
    assert (known["outcome"], known["messageId"]) == ("unknown", None)
