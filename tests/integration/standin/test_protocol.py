"""What a device must prove to the stand-in, and what the stand-in refuses. No browser."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.integration.standin.device import FakePage, b64, control
from tests.standin import StandIn
from tests.standin.connection import Offer

PHONE = "5511999990000"
ALICE = "5511888880001@c.us"
NewPage = Callable[[], FakePage]


async def device_row(standin: StandIn, device_id: int) -> dict[str, Any]:
    _, state = await control(standin, "state")
    return next(row for row in state["devices"] if row["id"] == device_id)


async def test_a_scanned_page_logs_in_by_signature(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.pair(PHONE)
    verdict = await device.login()
    assert (verdict["t"], verdict["jid"], verdict["stale"]) == ("success", f"{PHONE}@c.us", False)
    row = await device_row(standin, device.device_id)
    assert {name: row[name] for name in ("logins", "stale_logins", "failed_logins", "rc", "revoked", "online")} == {
        "logins": 1,
        "stale_logins": 0,
        "failed_logins": 0,
        "rc": 1,
        "revoked": None,
        "online": True,
    }


async def test_a_pairing_code_links_as_a_scan_does(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.register()
    await device.tell(t="link-code", phone=PHONE, rid=1)
    code = (await device.hear("link-code"))["code"]
    assert await control(standin, "link", code=code, phone="5511000000000") == (
        404,
        {"ok": False, "error": "unknown code"},
    )
    typed = f"{code[:4]}-{code[4:]}"
    linking = asyncio.create_task(control(standin, "link", code=typed, phone=PHONE))
    await device.confirm(secret=b"")
    assert (await device.hear("stream-error"))["code"] == "515"
    assert (await linking)[0] == 200
    assert (await device.login())["t"] == "success"


async def test_an_unknown_ref_is_404(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.register()
    status, body = await control(standin, "scan", qr=device.qr("2@other"), phone=PHONE)
    assert (status, body["ok"]) == (404, False)


async def test_a_ref_that_is_not_shown_yet_is_404(standin: StandIn, page: NewPage) -> None:
    device = page()
    refs = await device.register()
    assert (await control(standin, "scan", qr=device.qr(refs[1]), phone=PHONE))[0] == 404


def test_a_ref_is_good_while_it_is_shown_and_a_moment_longer() -> None:
    refs = ["first", "second", "third"]

    def good(age_s: float) -> list[str]:
        offer = Offer(refs, ttl_s=20, since_mono_s=time.monotonic() - age_s)
        return [ref for ref in [*refs, "other"] if offer.shows(ref)]

    assert [good(age_s) for age_s in (0, 19, 21, 26, 59, 66)] == [
        ["first"],
        ["first"],
        ["first", "second"],
        ["second"],
        ["third"],
        [],
    ]


async def test_the_keys_of_another_page_are_409(standin: StandIn, page: NewPage) -> None:
    device, other = page(), page()
    refs = await device.register()
    await other.register()
    status, body = await control(standin, "scan", qr=other.qr(refs[0]), phone=PHONE)
    assert (status, body["error"]) == (409, "keys mismatch")


async def test_a_pairing_signed_by_another_key_is_refused(standin: StandIn, page: NewPage) -> None:
    device = page()
    refs = await device.register()
    scanning = asyncio.create_task(control(standin, "scan", qr=device.qr(refs[0]), phone=PHONE))
    await device.confirm(signer=Ed25519PrivateKey.generate())
    assert await device.hear() == {"t": "failure", "reason": "pair-sign"}
    assert (await scanning)[0] == 409
    assert (await control(standin, "state"))[1]["devices"] == []


async def test_a_login_signed_by_another_key_is_refused(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.pair(PHONE)
    assert await device.login(signer=Ed25519PrivateKey.generate()) == {"t": "failure", "reason": "403"}
    row = await device_row(standin, device.device_id)
    assert (row["failed_logins"], row["logins"], row["online"]) == (1, 0, False)


async def test_a_nonce_is_good_for_one_answer(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.pair(PHONE)
    await device.login()
    await device.tell(t="challenge-response", rc=2, sig=b64(b"x"))
    assert (await device.hear())["t"] == "error"


async def test_a_counter_seen_before_is_let_in_and_flagged_stale(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.pair(PHONE)
    assert (await device.login(counter=5))["stale"] is False
    assert (await device.login(counter=5))["stale"] is True
    row = await device_row(standin, device.device_id)
    assert (row["logins"], row["stale_logins"], row["rc"]) == (2, 1, 5)


async def test_a_second_connection_gives_the_first_a_conflict(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.pair(PHONE)
    await device.login()
    first = device.ws
    assert (await device.login())["t"] == "success"
    assert first is not None
    assert await first.receive_json(timeout=5) == {"t": "stream-error", "code": "conflict", "type": "replaced"}


async def test_a_revoked_device_is_told_and_not_let_in_again(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.pair(PHONE)
    await device.login()
    assert await control(standin, "revoke", phone=PHONE) == (200, {"ok": True, "revoked": 1})
    assert await device.hear() == {"t": "stream-error", "code": "401", "reason": "device_removed"}
    await device.tell(t="message", id="A", to=ALICE, type="chat", body="x")
    assert (await device.hear())["t"] == "nack"
    assert await device.login() == {"t": "failure", "reason": "401", "location": "cln"}
    assert (await device_row(standin, device.device_id))["revoked"] == "device_removed"


async def test_a_logged_out_device_is_not_let_in_again(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.pair(PHONE)
    await device.login()
    await device.tell(t="logout")
    await device.hear("logout-ok")
    assert (await device.login())["t"] == "failure"


async def test_the_offline_queue_is_delivered_once(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.pair(PHONE)
    for body in ("one", "two"):
        _, answer = await control(standin, "inbound", **{"from": ALICE, "body": body, "phone": PHONE})
        assert answer["delivered"][0]["live"] is False
    assert [message["body"] for message in (await device.login())["offline"]] == ["one", "two"]
    assert (await device.login())["offline"] == []
    _, answer = await control(standin, "inbound", **{"from": ALICE, "body": "three", "phone": PHONE})
    assert answer["delivered"][0]["live"] is True
    assert (await device.hear("message"))["msg"]["body"] == "three"


async def test_a_message_comes_again_until_it_is_confirmed(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.pair(PHONE)
    for body in ("one", "two"):
        await control(standin, "inbound", **{"from": ALICE, "body": body})
    first = (await device.login(confirms=True))["offline"]
    await device.tell(t="received", id=first[0]["id"])
    await device.tell(t="exists", user="1", rid=1)
    await device.hear("exists")
    await control(standin, "inbound", **{"from": ALICE, "body": "three"})
    assert [m["body"] for m in (await device.login(confirms=True))["offline"]] == ["two", "three"]


async def test_a_frozen_page_holds_nobody_up(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.pair(PHONE)
    await device.login()
    frozen = device.ws  # never read from again, so it never answers a close
    async with asyncio.timeout(1.5):
        assert (await device.login())["t"] == "success"
        assert (await control(standin, "drop"))[1]["dropped"] >= 1
    assert frozen is not None and not frozen.closed


async def test_a_text_is_acknowledged_received_and_read(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.pair(PHONE)
    await device.login()
    await device.tell(t="message", id="3EB0", to=ALICE, type="chat", body="hello")
    await device.hear("ack")
    assert [(await device.hear("receipt"))["ack"] for _ in range(2)] == [2, 3]
    _, messages = await control(standin, "messages")
    assert [(m["id"], m["to"], m["body"], m["dir"]) for m in messages] == [("3EB0", ALICE, "hello", "out")]


async def test_a_repeated_message_is_acknowledged_but_kept_once(standin: StandIn, page: NewPage) -> None:
    standin.options.auto_ack = False
    device = page()
    await device.pair(PHONE)
    await device.login()
    for _ in range(2):
        await device.tell(t="message", id="3EB0", to=ALICE, type="chat", body="hello")
        await device.hear("ack")
    _, (message,) = await control(standin, "messages")
    assert message["frames"] == 2


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "poll_creation", "to": ALICE},
        {"type": "sticker", "to": ALICE},
        {"type": "video", "to": ALICE, "media": "AAAA"},
        {"type": "chat", "to": "status@broadcast"},
        {"type": "chat", "to": "120363000000000000@g.us"},
        {"type": "chat"},
        {"type": None, "to": ALICE},
        {"type": "image", "to": ALICE},
        {"type": "image", "to": ALICE, "media": b64(b"picture"), "filehash": b64(b"other")},
    ],
    ids=str,
)
async def test_what_is_not_modelled_is_refused(standin: StandIn, page: NewPage, frame: dict[str, Any]) -> None:
    device = page()
    await device.pair(PHONE)
    await device.login()
    await device.tell(t="message", id="B", **frame)
    refusal = await device.hear("nack")
    assert refusal["id"] == "B" and refusal["error"]
    assert (await control(standin, "messages"))[1] == []


async def test_media_is_taken_when_it_is_what_its_hash_says(standin: StandIn, page: NewPage) -> None:
    device = page()
    await device.pair(PHONE)
    await device.login()
    digest = b64(hashlib.sha256(b"picture").digest())
    await device.tell(t="message", id="C", to=ALICE, type="image", media=b64(b"picture"), filehash=digest)
    await device.hear("ack")
    assert (await control(standin, "messages"))[1][0]["filehash"] == digest


@pytest.mark.parametrize("raw", ["{", "[]", '"x"', "{}", '{"t": "nonsense"}', '{"t": "login"}', '{"t": "register"}'])
async def test_a_malformed_frame_is_an_error_and_the_connection_lives(page: NewPage, raw: str) -> None:
    device = page()
    await device.open()
    assert device.ws is not None
    await device.ws.send_str(raw)
    assert (await device.hear("error"))["error"]
    assert len(await device.register()) == 6


async def test_devices_survive_a_restart_with_a_state_file(tmp_path: Path) -> None:
    state_file = tmp_path / "state.json"
    async with aiohttp.ClientSession() as http:
        async with StandIn(state_file=state_file) as before:
            device = FakePage(before, http)
            await device.pair(PHONE)
            await device.login()
            await before.wire.stop()
            await control(before, "inbound", **{"from": ALICE, "body": "kept"})
        async with StandIn(state_file=state_file) as after:
            device.standin = after
            verdict = await device.login()
            assert (verdict["t"], verdict["stale"]) == ("success", False)
            assert [message["body"] for message in verdict["offline"]] == ["kept"]
            assert (await device.login(counter=1))["stale"] is True


async def test_the_state_file_holds_public_keys_only(tmp_path: Path) -> None:
    state_file = tmp_path / "state.json"
    async with aiohttp.ClientSession() as http, StandIn(state_file=state_file) as standin:
        device = FakePage(standin, http)
        await device.pair(PHONE)
        stored = state_file.read_text()
    assert b64(device.noise.public_key().public_bytes_raw()) in stored
    assert b64(device.adv_secret) not in stored
    assert base64.b64encode(device.noise.private_bytes_raw()).decode() not in stored
