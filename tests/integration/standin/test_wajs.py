"""Real, unmodified wa-js in a real Chromium runs on the stand-in, and is told the truth by it."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.standin.chromium import WAJS_BUNDLE, Chromium, until
from tests.integration.standin.device import control
from tests.standin import StandIn

WAJS_SHA256 = "5bfb88027f14a4d8c9e319374e8bb4083201906881cf8c74f75789b32e4106bd"
PHONE = "5511999990000"
ALICE = "5511888880001@c.us"
PIXEL = (  # one pixel
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
NewChromium = Callable[[StandIn], Awaitable[Chromium]]

pytestmark = pytest.mark.timeout(120)


@pytest_asyncio.fixture
async def chromium(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Chromium]]]:
    """Factory of browsers; `profile` names the profile, the same name means the same profile."""
    running: list[Chromium] = []

    async def start(standin: StandIn, profile: str = "profile") -> Chromium:
        running.append(await Chromium.start(tmp_path / profile, standin))
        return running[-1]

    yield start
    for browser in running:
        await browser.stop()


@pytest_asyncio.fixture
async def site() -> AsyncIterator[StandIn]:
    """A stand-in with real Chromium in mind."""
    async with StandIn(sync_ms=200, ref_ttl_ms=2_500) as running:
        yield running


async def linked(browser: Chromium, site: StandIn) -> Chromium:
    status, answer = await control(site, "scan", qr=await browser.qr(), phone=PHONE)
    assert (status, answer["ok"]) == (200, True)
    await browser.usable()
    return browser


async def ack_reaches(browser: Chromium, message_id: str, level: int) -> None:
    await browser.wpp_until(f"(await WPP.chat.getMessageById({message_id!r})).ack === {level}")


async def state(site: StandIn) -> dict[str, Any]:
    return (await control(site, "state"))[1]


def test_the_bundle_is_the_published_one() -> None:
    assert hashlib.sha256(WAJS_BUNDLE.read_bytes()).hexdigest() == WAJS_SHA256


async def test_from_qr_to_messages_to_logout(site: StandIn, chromium: NewChromium) -> None:
    browser = await chromium(site)
    first = await browser.qr()
    assert first != await browser.qr(unlike=first), "the code did not rotate"
    await linked(browser, site)

    sent = await browser.wpp(f"WPP.chat.sendTextMessage({ALICE!r}, 'hello', {{waitForAck: true}})")
    await ack_reaches(browser, sent["id"], 3)
    acks = [event["ack"] for event in await browser.events("chat.msg_ack_change")]
    assert {1, 2, 3} <= set(acks)
    file = await browser.wpp(f"WPP.chat.sendFileMessage({ALICE!r}, {PIXEL!r}, {{type: 'image', waitForAck: true}})")
    await ack_reaches(browser, file["id"], 3)
    _, messages = await control(site, "messages")
    assert [(m["type"], m["to"]) for m in messages] == [("chat", ALICE), ("image", ALICE)]

    await control(site, "inbound", **{"from": ALICE, "body": "live", "phone": PHONE})
    await browser.wpp_until("window.__events.some((e) => e.name === 'chat.new_message' && e.value.body === 'live')")

    await browser.wpp("WPP.conn.logout()")
    assert await browser.qr()
    assert (await state(site))["devices"][0]["revoked"] == "logout"


async def test_a_restart_logs_in_again_and_gets_what_waited(site: StandIn, chromium: NewChromium) -> None:
    await (await linked(await chromium(site), site)).stop()
    await control(site, "inbound", **{"from": ALICE, "body": "waited", "phone": PHONE})
    # wa-js needs almost a second to bind; what the page has processed before raises no event.
    site.options.sync_ms = 6_000
    again = await chromium(site)
    await again.usable()
    await again.wpp_until("window.__events.some((e) => e.name === 'chat.new_message' && e.value.body === 'waited')")
    row = (await state(site))["devices"][0]
    assert (row["logins"], row["rc"], row["stale_logins"], row["failed_logins"]) == (2, 2, 0, 0)


async def test_a_pairing_code_links_the_page(site: StandIn, chromium: NewChromium) -> None:
    browser = await chromium(site)
    await browser.qr()
    code = await browser.wpp(f"WPP.conn.genLinkDeviceCodeForPhoneNumber({PHONE!r})")
    assert (await control(site, "link", code=code, phone=PHONE))[0] == 200
    await browser.usable()


async def test_a_wrong_secret_is_refused_by_the_page(site: StandIn, chromium: NewChromium) -> None:
    browser = await chromium(site)
    fields = (await browser.qr()).split(",")
    fields[3] = "A" * 43 + "="
    assert (await control(site, "scan", qr=",".join(fields), phone=PHONE))[0] == 504
    assert (await state(site))["devices"] == []


async def test_a_revoked_page_logs_out_and_shows_a_new_qr(site: StandIn, chromium: NewChromium) -> None:
    browser = await linked(await chromium(site), site)
    await control(site, "revoke", phone=PHONE)
    await browser.wpp_until("location.search.includes('post_logout=1')")
    assert await browser.qr()


async def test_a_replaced_page_is_in_conflict_and_keeps_its_login(site: StandIn, chromium: NewChromium) -> None:
    browser = await linked(await chromium(site), site)
    await control(site, "replace", phone=PHONE)
    await browser.wpp_until("WPP.conn.getStreamData().mode === 'CONFLICT'")
    assert await browser.wpp("WPP.conn.isAuthenticated()")


async def test_a_message_sent_while_the_line_is_cut_arrives_once(site: StandIn, chromium: NewChromium) -> None:
    browser = await linked(await chromium(site), site)
    # Asked for before, as the page looks for its line again after 300 ms.
    await browser.wpp(
        "{ const { Socket } = require('WAWebSocketModel'); window.__sent = new Promise((done, fail) => {"
        " Socket.on('change:state', () => { if (Socket.state !== 'TIMEOUT') return;"
        f" WPP.chat.sendTextMessage({ALICE!r}, 'later', {{waitForAck: false}}).then(done, fail); }}); }}); }}"
    )
    await control(site, "drop", phone=PHONE)
    sent = await browser.wpp("window.__sent")
    await ack_reaches(browser, sent["id"], 3)
    assert [message["body"] for message in (await control(site, "messages"))[1]] == ["later"]


# Calls for which a page that only looks like WhatsApp Web could easily report a success.
NOT_MODELLED = (
    "chat.sendCreatePollMessage(ALICE, 'question', ['a', 'b'])",
    "chat.sendFileMessage(ALICE, 'data:image/webp;base64,AAAA', {type: 'sticker'})",
    "chat.sendTextMessage('120363000000000000@g.us', 'x')",
    "status.sendTextStatus('x', {waitForAck: true})",
    "chat.archive(ALICE)",
    "chat.markIsUnread(ALICE)",
    "labels.getAllLabels()",
    "profile.setMyProfileName('x')",
)


async def test_what_is_not_modelled_fails_and_leaves_nothing(site: StandIn, chromium: NewChromium) -> None:
    browser = await linked(await chromium(site), site)
    await browser.wpp(f"WPP.chat.find({ALICE!r})")
    for call in NOT_MODELLED:
        outcome = await browser.wpp(
            f"{{ const ALICE = {ALICE!r};"
            f" try {{ return 'succeeded: ' + JSON.stringify(await WPP.{call}); }} catch (e) {{ return String(e); }} }}"
        )
        assert "does not model" in outcome, (call, outcome)
    assert (await control(site, "messages"))[1] == []
    assert await browser.wpp(f"WPP.chat.get({ALICE!r}).msgs.length") == 0


async def test_a_browser_killed_while_it_syncs_loses_no_message(site: StandIn, chromium: NewChromium) -> None:
    await (await linked(await chromium(site), site)).stop()
    await control(site, "inbound", **{"from": ALICE, "body": "waited", "phone": PHONE})
    site.options.sync_ms = 6_000
    killed = await chromium(site)
    await until(lambda: _logins(site, 2))
    os.killpg(killed.process.pid, signal.SIGKILL)
    again = await chromium(site)
    await again.wpp_until("window.__events.some((e) => e.name === 'chat.new_message' && e.value.body === 'waited')")
    assert await until(lambda: _logins(site, 3))


async def _logins(site: StandIn, wanted: int) -> bool:
    return (await state(site))["devices"][0]["logins"] == wanted


async def test_the_caches_fill_and_scripts_run_under_trusted_types(chromium: NewChromium) -> None:
    options = {"sw_mb": 1.2, "http_mb": 0.6, "trusted_types": True, "cold_ms": 1_200, "sync_ms": 200}
    async with StandIn(**options) as site:
        browser = await linked(await chromium(site), site)
        assert await browser.wpp_until("__standin.sw") == {"precached": 3}
        await browser.wpp_until("__standin.httpDone === 2")


async def test_typing_and_seen_reach_the_server(site: StandIn, chromium: NewChromium) -> None:
    browser = await linked(await chromium(site), site)
    await control(site, "inbound", **{"from": ALICE, "body": "read me", "phone": PHONE})
    await browser.wpp_until(f"WPP.chat.get({ALICE!r})?.unreadCount === 1")
    await browser.wpp(f"WPP.chat.markIsComposing({ALICE!r}).then(() => WPP.chat.markIsRead({ALICE!r})).then(() => 1)")

    async def logged() -> bool:
        _, log = await control(site, "log")
        return {("chatstate", "composing"), ("seen", None)} <= {(e["kind"], e.get("state")) for e in log}

    await until(logged)
