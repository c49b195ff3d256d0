"""Every kind of content in both directions: what WhatsApp gets, and what the page tells."""

import base64
import hashlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from daemon.core.errors import PageCallError
from daemon.sessions.outgoing import ContactCard, Content, Location, Media, MediaKind, Outgoing, Reaction, Text
from daemon.sessions.sends import new_message_id
from shards.page.driver import PageTimeouts
from shards.page.events import PageEventKind
from shards.page.state import PageState
from shards.page.told import message_told
from tests.integration.page.phone import ALICE, BOB, PHONE, OpenPage, World, send_text

CONTENT = bytes(range(256)) * 8000
CHAT = f"{ALICE}@c.us"


@pytest_asyncio.fixture
async def opened(world: World) -> AsyncIterator[OpenPage]:
    async with world.paired() as page:
        yield page


def _file(kind: MediaKind, mimetype: str, content: bytes, caption: str = "") -> Media:
    return Media(
        kind=kind,
        mimetype=mimetype,
        filename=f"a.{kind}",
        caption=caption,
        upload="",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


async def _send(opened: OpenPage, content: Content, **more: Any) -> str:
    """Send and return the whole id."""
    body = more.pop("body", None)
    message = Outgoing(to=CHAT, message_id=more.pop("message_id", new_message_id()), content=content, **more)
    sent = await opened.page.send(message, body=body)
    assert sent.message_id == f"true_{CHAT}_{message.message_id}"
    assert sent.ack >= 1
    return sent.message_id


async def _inbound(world: World, **body: Any) -> str:
    """Have Bob write; return the id in the form that events have."""
    answer = await world.tell("inbound", phone=PHONE, **{"from": f"{BOB}@c.us"}, **body)
    return f"false_{BOB}@c.us_{answer['delivered'][0]['id']}"


def _is(message_id: str, data: Any) -> bool:
    return message_id in (data.get("id"), data.get("message_id"))


async def test_every_kind_goes_out_and_the_same_id_goes_out_once(world: World, opened: OpenPage) -> None:
    quoted = await _inbound(world, body="a question")
    await opened.event(PageEventKind.MESSAGE, partial(_is, quoted))
    kinds: list[tuple[Content, bytes | None]] = [
        (Text(text="an answer"), None),
        (_file(MediaKind.IMAGE, "image/png", CONTENT, "look"), CONTENT),
        (_file(MediaKind.VIDEO, "video/mp4", b"v"), b"v"),
        (_file(MediaKind.AUDIO, "audio/mpeg", b"a"), b"a"),
        (_file(MediaKind.VOICE, "audio/ogg; codecs=opus", b"o"), b"o"),
        (_file(MediaKind.DOCUMENT, "application/pdf", CONTENT, "see"), CONTENT),
        (_file(MediaKind.DOCUMENT, "image/png", b"d"), b"d"),
        (Location(latitude=-23.5505, longitude=-46.6333, name="Sé", address="São Paulo"), None),
        (ContactCard(name="Maria d'Ávila", phone="5511999990001"), None),
    ]
    for content, body in kinds:
        message_id = new_message_id()
        for _ in range(2):
            await _send(opened, content, body=body, message_id=message_id, reply_to=quoted)
    got = [message for message in await world.ask("messages") if message["dir"] == "out"]
    assert [message["type"] for message in got] == [
        "chat", "image", "video", "audio", "ptt", "document", "document", "location", "vcard",
    ]  # fmt: skip
    assert {message["quoted"] for message in got} == {quoted.rpartition("_")[2]}
    text, image, *_, document, _, place, card = got
    assert text["body"] == "an answer"
    assert (image["caption"], image["media_len"]) == ("look", len(base64.b64encode(CONTENT)))
    assert (document["caption"], document["filename"], document["mimetype"]) == ("see", "a.document", "application/pdf")
    assert (place["lat"], place["lng"], place["loc"]) == (-23.5505, -46.6333, "Sé\nSão Paulo")
    assert "FN:Maria d'Ávila" in card["body"]
    assert "waid=5511999990001" in card["body"]


async def test_reactions_go_out_and_come_in(world: World, opened: OpenPage) -> None:
    theirs = await _inbound(world, body="hi")
    await opened.event(PageEventKind.MESSAGE, partial(_is, theirs))
    ours = await _send(opened, Text(text="hello"))
    to_bob = Outgoing(to=f"{BOB}@c.us", message_id=new_message_id(), content=Reaction(message_id=theirs, emoji="👍"))
    assert (await opened.page.send(to_bob)).ack == 1
    (reaction,) = [message for message in await world.ask("messages") if message["type"] == "reaction"]
    assert (reaction["body"], reaction["parent"], reaction["to"]) == ("👍", theirs.rpartition("_")[2], f"{BOB}@c.us")
    for emoji in ("❤️", ""):
        await world.tell("react", id=ours.rpartition("_")[2], emoji=emoji)

        def comes(data: Any, emoji: str = emoji) -> bool:
            return bool(data["emoji"] == emoji)

        told = await opened.event(PageEventKind.REACTION, comes)
        assert (told["message_id"], told["chat"], told["from"]) == (ours, CHAT, CHAT)
        assert told["timestamp"] > 1_600_000_000
    elsewhere = Outgoing(to=CHAT, message_id=new_message_id(), content=Reaction(message_id=theirs, emoji="x"))
    for wrong in (elsewhere, Outgoing(to=CHAT, message_id="3EB0FF", content=Reaction(message_id="3A" * 9, emoji="x"))):
        with pytest.raises(PageCallError) as caught:
            await opened.page.send(Outgoing(to=wrong.to, message_id=new_message_id(), content=wrong.content))
        assert (caught.value.ids["outcome"], caught.value.ids["reason"]) == ("not_sent", "message_not_found")


async def test_half_a_character_from_a_stranger_is_told_as_a_replacement(world: World, opened: OpenPage) -> None:
    ours = await _send(opened, Text(text="hello"))
    await world.tell("react", id=ours.rpartition("_")[2], emoji="\ud83d")
    assert (await opened.event(PageEventKind.REACTION))["emoji"] == "\ufffd"
    theirs = await _inbound(world, body="half \ud83d", pushname="\ude00")
    told = await opened.event(PageEventKind.MESSAGE, partial(_is, theirs))
    assert (told["body"], told["notify_name"]) == ("half \ufffd", "\ufffd")


async def test_an_edit_and_a_message_taken_back_are_told(world: World, opened: OpenPage) -> None:
    message_id = await _inbound(world, body="frist")
    await opened.event(PageEventKind.MESSAGE, partial(_is, message_id))
    await world.tell("edit", id=message_id.rpartition("_")[2], body="first")
    edited = await opened.event(PageEventKind.EDITED)
    assert (edited["message_id"], edited["body"], edited["chat"]) == (message_id, "first", f"{BOB}@c.us")
    await world.tell("revoke_message", id=message_id.rpartition("_")[2])
    revoked = await opened.event(PageEventKind.REVOKED)
    assert (revoked["message_id"], revoked["from"]) == (message_id, f"{BOB}@c.us")


async def test_what_comes_in_is_told_whole_and_its_file_can_be_fetched(world: World, opened: OpenPage) -> None:
    ours = await _send(opened, Text(text="where are you?"))
    file = {
        "media": base64.b64encode(CONTENT).decode(),
        "mimetype": "image/png",
        "caption": "here",
        "filename": "p.png",
    }
    picture = await _inbound(world, type="image", quoted=ours.rpartition("_")[2], **file)
    told = message_told(await opened.event(PageEventKind.MESSAGE, partial(_is, picture)))
    assert (told["type"], told["body"], told["has_media"], told["mimetype"]) == ("image", "here", True, "image/png")
    assert (told["filename"], told["size_bytes"]) == ("p.png", len(CONTENT))
    assert told["quoted_id"].rpartition("_")[2] == ours.rpartition("_")[2]
    got = await opened.page.download_media(picture, limit_bytes=len(CONTENT))
    assert (got.content, got.mimetype, got.filename) == (CONTENT, "image/png", "p.png")
    place = await _inbound(world, type="location", lat=1.5, lng=-2.25, loc="Here\nThere 1")
    told = message_told(await opened.event(PageEventKind.MESSAGE, partial(_is, place)))
    assert told["location"] == {"latitude": 1.5, "longitude": -2.25, "name": "Here", "address": "There 1"}
    assert (told["body"], told["contacts"], told["has_media"]) == ("", None, False)
    vcard = "BEGIN:VCARD\nVERSION:3.0\nFN:Maria\nitem1.TEL;waid=5511999990001:+55 11 99999-0001\nEND:VCARD"
    card = await _inbound(world, type="vcard", body=vcard)
    told = message_told(await opened.event(PageEventKind.MESSAGE, partial(_is, card)))
    assert (told["contacts"], told["body"]) == ([{"name": "Maria", "phones": ["5511999990001"]}], "")
    for message_id, limit_bytes, reason in (
        (picture, 1000, "media_too_large"),
        (card, 1000, "no_media"),
        (f"false_{BOB}@c.us_3A00000000", 1000, "message_not_found"),
    ):
        with pytest.raises(PageCallError) as caught:
            await opened.page.download_media(message_id, limit_bytes=limit_bytes)
        assert caught.value.ids["reason"] == reason
    voice = await _inbound(world, type="ptt", media=base64.b64encode(b"ogg").decode(), mimetype="audio/ogg")
    await opened.event(PageEventKind.MESSAGE, partial(_is, voice))
    await world.tell("forget_media", id=voice.rpartition("_")[2])
    with pytest.raises(PageCallError) as caught:
        await opened.page.download_media(voice, limit_bytes=1000)
    assert caught.value.ids["reason"] == "media_gone"


async def test_a_number_is_found_or_not(opened: OpenPage) -> None:
    assert await opened.page.find_number(ALICE) == CHAT
    assert await opened.page.find_number("00012345678") is None


async def test_a_message_that_whatsapp_has_not_taken_yet_is_waited_for(world: World) -> None:
    async with world.paired(timeouts=PageTimeouts(call_s=5, send_s=2)) as opened:
        await send_text(opened.page, ALICE, "the chat is known from now on")
        await world.tell("config", ack_hold_ms=8000)
        message_id = new_message_id()
        with pytest.raises(PageCallError) as caught:
            await _send(opened, Text(text="slow"), message_id=message_id)
        assert caught.value.ids["outcome"] == "unknown"
        assert caught.value.ids["message_id"] == f"true_{CHAT}_{message_id}"
        with pytest.raises(PageCallError) as caught:
            await _send(opened, Text(text="slow"), message_id=message_id)
        assert caught.value.ids["outcome"] == "unknown"
        await opened.event(PageEventKind.ACK, partial(_is, f"true_{CHAT}_{message_id}"))
        await _send(opened, Text(text="slow"), message_id=message_id)
    bodies = [message["body"] for message in await world.ask("messages") if message["dir"] == "out"]
    assert bodies == ["the chat is known from now on", "slow"]


async def test_changes_that_came_while_the_page_was_away_are_told_afterwards(world: World) -> None:
    async with world.paired() as opened:
        message_id = await _inbound(world, body="frist")
        await opened.event(PageEventKind.MESSAGE, partial(_is, message_id))
        ours = await _send(opened, Text(text="hello"))
    await world.tell("react", id=ours.rpartition("_")[2], emoji="👍")
    await world.tell("revoke_message", id=message_id.rpartition("_")[2])
    # Until wa-js is there nothing of this can be heard; the real page takes some seconds, too.
    await world.tell("config", sync_ms=6000)
    async with world.page() as opened:
        assert (await opened.event(PageEventKind.REACTION))["message_id"] == ours
        assert (await opened.event(PageEventKind.REVOKED))["message_id"] == message_id
        await opened.state(PageState.CONNECTED)


async def test_messages_from_before_a_restart_are_edited_taken_back_quoted_and_fetched(world: World) -> None:
    file = {"media": base64.b64encode(b"png").decode(), "mimetype": "image/png", "filename": "p.png"}
    async with world.paired() as opened:
        text, other = await _inbound(world, body="frist"), await _inbound(world, body="oops")
        picture = await _inbound(world, type="image", **file)
        await opened.event(PageEventKind.MESSAGE, partial(_is, picture))
    # One change comes while the page is away, long before wa-js listens, the other while it is connected.
    await world.tell("edit", id=text.rpartition("_")[2], body="firts")
    async with world.page() as opened:
        assert (await opened.event(PageEventKind.EDITED))["body"] == "firts"
        await opened.state(PageState.CONNECTED)
        got = await opened.page.download_media(picture, limit_bytes=100)
        assert (got.content, got.mimetype, got.filename) == (b"png", "image/png", "p.png")
        await world.tell("edit", id=text.rpartition("_")[2], body="first")
        edited = await opened.event(PageEventKind.EDITED, lambda data: bool(data["body"] == "first"))
        assert (edited["message_id"], edited["from"], edited["chat"]) == (text, f"{BOB}@c.us", f"{BOB}@c.us")
        await world.tell("revoke_message", id=other.rpartition("_")[2])
        assert (await opened.event(PageEventKind.REVOKED))["message_id"] == other
        await _send(opened, Text(text="an answer"), reply_to=text)
        changes = [told for told in opened.told if told.kind in {PageEventKind.EDITED, PageEventKind.REVOKED}]
        assert len(changes) == 3
    (sent,) = [message for message in await world.ask("messages") if message["dir"] == "out"]
    assert sent["quoted"] == text.rpartition("_")[2]
