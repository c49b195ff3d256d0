"""`blazz sessions`, `send`, `events` and `tokens` as real processes against a real coordinator app on a real Redis."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from daemon.core.clock import utc_now
from daemon.core.exit_codes import ExitCode
from daemon.core.ids import new_id
from daemon.registry.registry import Registry
from daemon.sessions.commands import Outcome, Reply
from daemon.sessions.events import Event, EventKind
from daemon.sessions.outgoing import ContactCard, Location, Media, Reaction, Text, outgoing_from_arguments
from daemon.sessions.states import SessionState
from tests.integration.api.conftest import AnsweringShard
from tests.integration.cli.conftest import Blazz

ID, TO = "session-12-7", "+5511999990000"
SENT = Reply(outcome=Outcome.DONE, result={"message_id": "true_x_1", "ack": 1, "timestamp": 1_769_860_800})


async def test_a_session_from_its_making_to_its_end(blazz: Blazz, shard: AnsweringShard, tmp_path: Path) -> None:
    made = await blazz("sessions", "create", "--workspace", "7", "--user", "12", "--json")
    assert (made[0], json.loads(made[1])["session_id"], json.loads(made[1])["created"]) == (0, ID, True)
    code, out, err = await blazz("sessions", "qr", ID)
    assert (code, out) == (ExitCode.USAGE, "")
    assert "code_not_available" in err
    await shard.show(ID, SessionState.QR, qr="2@abc,def,ghi")
    code, out, _ = await blazz("sessions", "qr", ID)
    rows = out.splitlines()
    assert code == 0
    assert len(rows) > 12 and "█" in out and len({len(row) for row in rows}) == 1
    code, _, _ = await blazz("sessions", "qr", ID, "--png", "code.png")
    assert (tmp_path / "code.png").read_bytes().startswith(b"\x89PNG")
    waiting = asyncio.create_task(blazz("sessions", "qr", ID, "--wait", "--timeout", "30"))
    async with asyncio.timeout(30):
        while "█" not in (tmp_path / "stderr").read_text():
            await asyncio.sleep(0.1)
    await shard.show(ID, SessionState.CONNECTED)
    code, out, err = await waiting
    assert (code, out.strip()) == (0, f"{ID} connected (connected)")
    code, out, _ = await blazz("sessions", "show", ID)
    assert "status                   connected" in out
    code, _, err = await blazz("sessions", "delete", ID, stdin=b"n\n")
    assert (code, "delete session-12-7?" in err) == (1, True)
    assert (await blazz("sessions", "delete", ID, "--yes"))[0] == 0
    code, _, err = await blazz("sessions", "show", ID)
    assert (code, "session_not_found" in err) == (ExitCode.USAGE, True)


async def test_lists_follow_their_cursors_and_are_filtered(blazz: Blazz, api: httpx.AsyncClient) -> None:
    for user in range(5):
        await api.post("/api/whatsapp/sessions", json={"workspace_id": user % 2, "user_id": user})
    code, out, _ = await blazz("sessions", "list", "--workspace", "0", "--json")
    assert (code, [one["user_id"] for one in json.loads(out)["sessions"]]) == (0, ["0", "2", "4"])
    code, _, err = await blazz("sessions", "archives", "session-0-0")
    assert (code, "object_store_unavailable" in err) == (ExitCode.UNAVAILABLE, True)
    code, out, _ = await blazz("sessions", "list", "--limit", "2")
    assert (code, len(out.splitlines())) == (0, 3)
    assert "session-0-0" in out


async def test_stop_is_followed_to_its_end_or_told_not_to_have_come(
    blazz: Blazz, api: httpx.AsyncClient, shard: AnsweringShard
) -> None:
    for user in ("12", "13"):
        await api.post("/api/whatsapp/sessions", json={"workspace_id": "7", "user_id": user})
    code, out, _ = await blazz("sessions", "stop", ID, "session-13-7", "--wait", "--timeout", "20")
    assert (code, out.split()) == (0, [ID, "is", "stopped", "session-13-7", "is", "stopped"])
    code, out, err = await blazz("sessions", "start", ID, "--wait", "--timeout", "0.5", "--json")
    assert (code, "it goes on" in err) == (ExitCode.TEMPORARY, True)


async def test_every_kind_of_content_is_sent_and_each_has_a_key_of_its_own(
    blazz: Blazz, api: httpx.AsyncClient, shard: AnsweringShard, tmp_path: Path
) -> None:
    await api.post("/api/whatsapp/sessions", json={"workspace_id": "7", "user_id": "12"})
    await shard.show(ID, SessionState.CONNECTED)
    shard.reply = SENT
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    ways: list[tuple[tuple[str, ...], bytes, type]] = [
        (("hello",), b"", Text),
        (("-", "--reply-to", "false_5511@c.us_3A"), b"from a pipe", Text),
        (("--file", "a.pdf", "--caption", "c"), b"", Media),
        (("--location=-23.5,-46.6", "--name", "Here"), b"", Location),
        (("--contact", "Maria, Jr,+5511999990001"), b"", ContactCard),
        (("--react", "false_5511@c.us_3A", "x"), b"", Reaction),
    ]
    for words, stdin, kind in ways:
        code, out, err = await blazz("send", ID, TO, *words, stdin=stdin)
        assert (code, out.strip()) == (0, "sent: true_x_1"), err
        message = outgoing_from_arguments(shard.got[-1]["message"])  # type: ignore[arg-type]  # what the shard got
        assert isinstance(message.content, kind)
        assert shard.got[-1]["ticket"] is not None
    assert len({str(got["ticket"]) for got in shard.got}) == len(ways)
    code, _, err = await blazz("send", ID, TO, "a", "--file", "a.pdf")
    assert (code, "exactly one" in err) == (2, True)


async def test_an_unknown_outcome_has_an_exit_code_of_its_own_and_tells_how_to_go_on(
    blazz: Blazz, api: httpx.AsyncClient, shard: AnsweringShard
) -> None:
    await api.post("/api/whatsapp/sessions", json={"workspace_id": "7", "user_id": "12"})
    code, _, err = await blazz("send", ID, TO, "hello")
    assert (code, "certainly not sent" in err) == (ExitCode.USAGE, True)
    code, _, err = await blazz("send", ID, TO, "hello", BLAZZ_TOKEN="wrong-token-of-somebody")
    assert (code, "certainly not sent" in err) == (ExitCode.USAGE, True)  # its key was never used before
    await shard.show(ID, SessionState.CONNECTED)
    shard.reply = None
    code, out, err = await blazz("send", ID, TO, "hello", "--key", "k1", "--json")
    told = json.loads(out)
    assert (code, told["outcome"], told["key"]) == (ExitCode.UNKNOWN, "unknown", "k1")
    assert "--key k1" in err
    shard.reply = SENT
    code, out, _ = await blazz("send", ID, TO, "hello", "--key", "k1")
    assert (code, out.strip()) == (0, "sent: true_x_1")
    code, out, _ = await blazz("send", ID, TO, "hello", "--key", "k1")
    assert out.strip() == "sent before: true_x_1"
    code, _, err = await blazz("send", ID, TO, "hello", BLAZZ_URL="http://127.0.0.1:9")
    assert (code, "certainly not sent" in err) == (ExitCode.UNAVAILABLE, True)


async def test_events_are_printed_without_what_people_wrote_unless_wished(blazz: Blazz, registry: Registry) -> None:
    async def tell(kind: EventKind, **data: Any) -> None:
        event = Event(
            event_id=new_id("evt"), kind=kind, session_id=ID, workspace_id="7", user_id="12", at=utc_now(), data=data
        )
        await registry.events.publish(event)

    await tell(EventKind.MESSAGE, body="a secret", id="false_x_1")
    await tell(EventKind.READY)
    code, out, _ = await blazz("events")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines()] == ["message", "ready"]
    assert "a secret" not in out and "false_x_1" in out
    code, out, _ = await blazz("events", "--event", "message", "--bodies", "--json")
    assert [json.loads(line)["data"]["body"] for line in out.splitlines()] == ["a secret"]


async def test_without_a_bucket_nobody_is_told_that_there_is_no_such_token(blazz: Blazz) -> None:
    code, _, err = await blazz("tokens", "create", "--name", "n", "--scope", "read")
    assert (code, "object_store_unavailable" in err) == (ExitCode.UNAVAILABLE, True)  # this coordinator has no bucket
    for words in (("tokens", "revoke", "none"), ("tokens", "list", "--json")):
        code, _, err = await blazz(*words)
        # Nobody knows yet which tokens there are: "not found" would be believed.
        assert (code, "redis_unavailable" in err) == (ExitCode.UNAVAILABLE, True)
    code, _, err = await blazz("sessions", "list", BLAZZ_TOKEN="wrong-token-of-somebody")
    assert (code, "unauthorized" in err, "wrong-token" in err) == (ExitCode.USAGE, True, False)
