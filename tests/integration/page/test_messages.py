"""Messages in and out, and what is known about a send that failed."""

import asyncio
from functools import partial
from typing import Any

import pytest

from daemon.core.errors import InvalidInputError, PageCallError, PageTimeoutError
from shards.page.driver import PageTimeouts
from shards.page.events import PageEventKind
from shards.page.state import PageState
from tests.integration.page.phone import ALICE, BOB, PHONE, World, send_text


def _is_ack(message_id: str, ack: int, data: Any) -> bool:
    return bool(data["message_id"] == message_id and data["ack"] == ack)


def _says(body: str, data: Any) -> bool:
    return bool(data["body"] == body)


async def test_a_text_is_acked_delivered_and_read(world: World) -> None:
    async with world.paired() as opened:
        sent = await send_text(opened.page, ALICE, "olá https://example.com/?a=1 \u2028 \"'`")
        assert sent.message_id.startswith(f"true_{ALICE}@c.us_")
        assert sent.ack >= 1
        for ack in (2, 3):
            told = await opened.event(PageEventKind.ACK, partial(_is_ack, sent.message_id, ack))
            assert told["chat"] == f"{ALICE}@c.us"
    (message,) = await world.ask("messages")
    assert message["body"] == "olá https://example.com/?a=1 \u2028 \"'`"


async def test_a_number_without_whatsapp_was_certainly_not_sent_to(world: World) -> None:
    async with world.paired() as opened:
        with pytest.raises(PageCallError) as caught:
            await send_text(opened.page, "00012345678", "x")
        assert caught.value.ids["outcome"] == "not_sent"
        assert caught.value.ids["reason"] == "not_on_whatsapp"
        with pytest.raises(InvalidInputError):
            await send_text(opened.page, "+55 11", "x")


async def test_a_send_before_the_login_was_certainly_not_sent(world: World) -> None:
    async with world.page() as opened:
        await opened.state(PageState.QR)
        with pytest.raises(PageCallError) as caught:
            await send_text(opened.page, ALICE, "x")
        assert caught.value.ids["outcome"] == "not_sent"


async def test_a_message_without_an_ack_is_unknown_and_the_page_is_offline(world: World) -> None:
    async with world.paired(timeouts=PageTimeouts(call_s=5, send_s=1)) as opened:
        await send_text(opened.page, ALICE, "the chat is known from now on")
        await world.standin.stop()
        await opened.state(PageState.OFFLINE)
        with pytest.raises(PageCallError) as caught:
            await send_text(opened.page, ALICE, "x")
        assert caught.value.ids["outcome"] == "unknown"
        assert caught.value.ids["message_id"].startswith(f"true_{ALICE}@c.us_")


async def test_a_hung_page_is_a_timeout_and_its_send_is_unknown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.paired() as opened:
        monkeypatch.setattr(opened.page, "_timeouts", PageTimeouts(call_s=0.5, send_s=0.2))
        opened.connection.cdp_nowait("Runtime.evaluate", {"expression": "for (;;);"})
        with pytest.raises(PageTimeoutError):
            await opened.page.snapshot()
        with pytest.raises(PageCallError) as caught:
            await send_text(opened.page, ALICE, "x")
        assert caught.value.ids["outcome"] == "unknown"


async def test_a_browser_that_dies_under_a_send_leaves_it_unknown_and_refuses_the_next(world: World) -> None:
    async with world.paired() as opened:
        await world.tell("config", auto_ack=False)
        sending = asyncio.ensure_future(send_text(opened.page, ALICE, "x"))
        await asyncio.sleep(0)
        opened.process.kill()
        with pytest.raises(PageCallError) as caught:
            await sending
        assert caught.value.ids["outcome"] == "unknown"
        with pytest.raises(PageCallError) as caught:
            await send_text(opened.page, ALICE, "x")
        assert caught.value.ids["outcome"] == "not_sent"


async def test_messages_come_in_live_and_after_time_offline(world: World) -> None:
    async with world.paired() as opened:
        await world.tell("inbound", phone=PHONE, body="live", **{"from": f"{BOB}@c.us"})
        data = await opened.event(PageEventKind.MESSAGE, lambda data: not data["from_me"])
        assert (data["from"], data["to"], data["body"], data["type"]) == (
            f"{BOB}@c.us",
            f"{PHONE}@c.us",
            "live",
            "chat",
        )
        assert data["timestamp"] > 1_600_000_000
        assert data["has_media"] is False
    for number in range(3):
        await world.tell("inbound", phone=PHONE, body=f"missed {number}", **{"from": f"{BOB}@c.us"})
    # Delivered 20 ms after the login, long before wa-js is ready to announce anything.
    await world.tell("config", sync_ms=20)
    async with world.page() as opened:
        for number in range(3):
            await opened.event(PageEventKind.MESSAGE, partial(_says, f"missed {number}"))
        await opened.state(PageState.CONNECTED)
        ids = [told.data["id"] for told in opened.told if told.kind is PageEventKind.MESSAGE]
        # The first browser ended without a word: what it told may not have been confirmed to WhatsApp yet.
        assert len(ids) == len(set(ids))
        assert len({*ids} - {data["id"]}) == 3


async def test_nothing_but_the_page_is_talked_to(world: World) -> None:
    async with world.paired() as opened:
        asked: list[str] = []
        opened.connection.on("Network.requestWillBeSent", lambda event: asked.append(event["request"]["url"]))
        await opened.connection.cdp("Network.enable", timeout_s=5)
        await opened.connection.cdp("Page.reload", timeout_s=5)
        await opened.state(PageState.BOOTING)
        await opened.state(PageState.CONNECTED)
        await send_text(opened.page, ALICE, "look at https://example.com/")
        assert asked
        assert [url for url in asked if not url.startswith((world.standin.url, "data:", "blob:"))] == []
