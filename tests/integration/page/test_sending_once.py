"""One id is handed to WhatsApp once, however often and however early it is tried: counted in frames on the wire."""

import asyncio
import hashlib
from functools import partial
from typing import Any

import pytest

from daemon.core.errors import PageCallError
from daemon.sessions.outgoing import Media, MediaKind, Outgoing, Text, outgoing_to_arguments
from daemon.sessions.sends import new_message_id
from shards.page.calls import evaluate
from shards.page.driver import PageTimeouts
from shards.page.events import PageEventKind
from shards.page.script import call_expression
from tests.integration.browser.rig import eventually
from tests.integration.page.phone import ALICE, BOB, PHONE, OpenPage, World, send_text

HASTY = PageTimeouts(load_s=20, call_s=5, send_s=2, file_s=2)
PATIENT = PageTimeouts(file_s=30)
PREP_MS = 8000
PICTURE = bytes(range(256)) * 100


def _text(body: str, *, message_id: str = "", reply_to: str | None = None) -> Outgoing:
    content = Text(text=body)
    return Outgoing(to=f"{ALICE}@c.us", message_id=message_id or new_message_id(), content=content, reply_to=reply_to)


def _picture(message_id: str = "") -> Outgoing:
    content = Media(
        kind=MediaKind.IMAGE,
        mimetype="image/png",
        filename="a.png",
        upload="",
        size_bytes=len(PICTURE),
        sha256=hashlib.sha256(PICTURE).hexdigest(),
    )
    return Outgoing(to=f"{ALICE}@c.us", message_id=message_id or new_message_id(), content=content)


def _is(message_id: str, data: Any) -> bool:
    return bool(data["message_id"].endswith(message_id))


async def _frames(world: World, message_id: str) -> int:
    """How often WhatsApp got a message of this id."""
    return sum(message["frames"] for message in await world.ask("messages") if message["id"] == message_id)


async def _outcome(opened: OpenPage, message: Outgoing, body: bytes | None = None) -> str:
    try:
        sent = await opened.page.send(message, body=body)
    except PageCallError as error:
        return str(error.ids["outcome"])
    assert sent.message_id.endswith(message.message_id)
    return "sent"


async def test_a_file_that_is_still_prepared_when_its_try_gives_up_is_not_handed_over_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.tell("config", prep_ms=PREP_MS)
    async with world.paired(timeouts=HASTY) as opened:
        message = _picture()
        assert [await _outcome(opened, message, PICTURE) for _ in range(2)] == ["unknown", "unknown"]
        assert await _frames(world, message.message_id) == 0
        await opened.event(PageEventKind.ACK, partial(_is, message.message_id))
        assert await _outcome(opened, message, PICTURE) == "sent"
        # Whatever the second try may have begun to prepare has gone out before a file that is prepared after it.
        monkeypatch.setattr(opened.page, "_timeouts", PATIENT)
        assert await _outcome(opened, _picture(), PICTURE) == "sent"
        assert await _frames(world, message.message_id) == 1


async def test_a_second_try_takes_the_result_of_the_first_hand_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.tell("config", prep_ms=PREP_MS)
    async with world.paired(timeouts=HASTY) as opened:
        message = _picture()
        assert await _outcome(opened, message, PICTURE) == "unknown"
        monkeypatch.setattr(opened.page, "_timeouts", PATIENT)
        assert await _outcome(opened, message, PICTURE) == "sent"
        assert await _frames(world, message.message_id) == 1


@pytest.mark.parametrize("kind", ["text", "file"])
async def test_two_sends_of_one_id_at_the_same_time_are_one_message(world: World, kind: str) -> None:
    async with world.paired() as opened:
        for _ in range(3):
            message, body = (_text("x"), None) if kind == "text" else (_picture(), PICTURE)
            outcomes = await asyncio.gather(*(_outcome(opened, message, body) for _ in range(3)))
            assert outcomes == ["sent", "sent", "sent"]
            assert await _frames(world, message.message_id) == 1


async def test_two_sends_of_one_text_in_the_same_moment_are_one_message(world: World) -> None:
    async with world.paired() as opened:
        message = _text("x")
        call = call_expression("send", outgoing_to_arguments(message), "", 5000)
        first, second = await evaluate(opened.connection, f"Promise.all([{call}, {call}])", timeout_s=10)
        assert first == second
        assert first["value"]["ok"] is True
        assert await _frames(world, message.message_id) == 1


async def test_a_text_that_is_not_acknowledged_in_time_is_sent_once(world: World) -> None:
    async with world.paired(timeouts=HASTY) as opened:
        await send_text(opened.page, ALICE, "the chat is known from now on")
        await world.tell("config", ack_hold_ms=PREP_MS)
        message = _text("slow")
        assert [await _outcome(opened, message) for _ in range(2)] == ["unknown", "unknown"]
        await opened.event(PageEventKind.ACK, partial(_is, message.message_id))
        assert await _outcome(opened, message) == "sent"
        assert await _frames(world, message.message_id) == 1


async def test_two_tries_fail_together_and_the_next_one_hands_over_anew(world: World) -> None:
    async with world.paired() as opened:
        await _run(opened, "self.prep = importNamespace('WAWebMediaPrep'), self.prepare = prep.prepRawMedia, null")
        await _run(opened, "prep.prepRawMedia = () => { throw new Error('cannot be read'); }, null")
        message = _picture()
        outcomes = await asyncio.gather(*(_outcome(opened, message, PICTURE) for _ in range(2)))
        assert outcomes == ["not_sent", "not_sent"]
        await _run(opened, "prep.prepRawMedia = prepare, null")
        assert await _outcome(opened, message, PICTURE) == "sent"
        assert await _frames(world, message.message_id) == 1


async def test_a_try_that_gave_up_while_it_looked_for_what_it_quotes_never_goes_out(world: World) -> None:
    async with world.paired(timeouts=HASTY) as opened:
        quoted = await _known_to_the_database_only(world, opened, found_after_ms=PREP_MS)
        message = _text("an answer", reply_to=quoted)
        assert await _outcome(opened, message) == "not_sent"
        await eventually(lambda: _run(opened, "self.found"), lambda found: found is True)
        await send_text(opened.page, ALICE, "later")
        assert await _frames(world, message.message_id) == 0
        assert await _outcome(opened, message) == "sent"
        assert await _frames(world, message.message_id) == 1


async def test_a_message_that_was_sent_does_not_need_what_it_quotes_any_more(world: World) -> None:
    async with world.paired() as opened:
        quoted = await _inbound(world, opened)
        message = _text("an answer", reply_to=quoted)
        assert await _outcome(opened, message) == "sent"
        await _run(opened, f"WPP.whatsapp.MsgStore.remove(WPP.whatsapp.MsgStore.get({quoted!r}))")
        assert await _outcome(opened, message) == "sent"
        assert await _frames(world, message.message_id) == 1


async def _inbound(world: World, opened: OpenPage) -> str:
    answer = await world.tell("inbound", phone=PHONE, body="a question", **{"from": f"{BOB}@c.us"})
    message_id = f"false_{BOB}@c.us_{answer['delivered'][0]['id']}"
    await opened.event(PageEventKind.MESSAGE, lambda data: data["id"] == message_id)
    return message_id


async def _known_to_the_database_only(world: World, opened: OpenPage, *, found_after_ms: int) -> str:
    """Return the id of a message that the page has to look for, and finds after so long."""
    message_id = await _inbound(world, opened)
    await _run(
        opened,
        f"""(() => {{
          const store = WPP.whatsapp.MsgStore, message = store.get({message_id!r});
          store.remove(message);
          WPP.chat.get(message.id.remote).msgs.remove(message);
          const find = (done) => {{ self.found = true; store.add(message); done(); }};
          const loadAroundPromise = new Promise((done) => setTimeout(find, {found_after_ms}, done));
          importNamespace('WAWebGetMessageSearchContext').getSearchContext = () =>
            ({{ collection: {{ loadAroundPromise, get: () => message }} }});
        }})()""",
    )
    return message_id


async def _run(opened: OpenPage, expression: str) -> Any:
    return await evaluate(opened.connection, expression, timeout_s=5)
