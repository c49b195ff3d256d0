"""Sending over HTTP on real parts: the same key never sends twice, whatever dies in between; order and pauses."""

import asyncio
import base64
import signal
from typing import Any

import httpx

from tests.integration.house.conftest import Open
from tests.integration.house.house import House, random_phone, until

SEND = "/api/whatsapp/send"
ALICE = "5511888880001"


async def _accepted(house: House) -> list[dict[str, Any]]:
    """Return what WhatsApp took from this side, in order."""
    async with httpx.AsyncClient(timeout=20) as client:
        messages = (await client.get(f"{house.standin.control_url}/messages")).json()
    return [message for message in messages if message["dir"] == "out"]


async def _send(house: House, session_id: str, text: str, key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    body = {"session_id": session_id, "to": f"+{ALICE}", "message": text}
    return await house.http.post(SEND, json=body, headers=headers)


async def _outcome(house: House, session_id: str, key: str) -> str:
    answer = await house.http.get(f"/api/whatsapp/sessions/{session_id}/sends/{key}")
    return str(answer.json()["outcome"]) if answer.status_code == 200 else str(answer.json()["code"])


async def _known(house: House, session_id: str, key: str) -> bool:
    return await _outcome(house, session_id, key) != "send_not_found"


async def test_a_key_sends_once_however_often_it_is_used_and_a_file_is_a_message_too(open_house: Open) -> None:
    async with open_house(SEND_MIN_INTERVAL_MS="0") as house:
        session_id = await house.link("u", random_phone())
        assert await _outcome(house, session_id, "k1") == "send_not_found"
        first, *others = await asyncio.gather(*(_send(house, session_id, "once", "k1") for _ in range(6)))
        answers = [first, *others]
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"send_in_progress"}
        again = await _send(house, session_id, "once", "k1")
        assert (again.status_code, again.json()["replayed"], again.json()["outcome"]) == (200, True, "sent")
        assert await _outcome(house, session_id, "k1") == "sent"
        other = await _send(house, session_id, "another text", "k1")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        content = bytes(range(256)) * 40
        form = {"session_id": session_id, "to": ALICE, "caption": "c"}
        files = {"file": ("a.pdf", content, "application/pdf")}
        for replayed in (False, True):
            answer = await house.http.post(f"{SEND}/file", data=form, files=files, headers={"Idempotency-Key": "k2"})
            assert (answer.status_code, answer.json().get("replayed")) == (200, replayed), answer.text
        media = {"data": base64.b64encode(content).decode(), "mimetype": "image/png"}
        answer = await house.http.post(SEND, json={"session_id": session_id, "to": ALICE, "media": media})
        assert answer.status_code == 200, answer.text
        got = await _accepted(house)
        assert [(m["type"], m["body"], m["filename"], m["media_len"]) for m in got] == [
            ("chat", "once", None, 0),
            ("document", None, "a.pdf", len(base64.b64encode(content))),
            ("image", None, "image.png", len(base64.b64encode(content))),
        ]
        assert got[0]["id"] in again.json()["message_id"]


async def test_messages_keep_their_order_and_a_queue_that_is_too_long_is_429(open_house: Open) -> None:
    async with open_house(SEND_MIN_INTERVAL_MS="100", SEND_QUEUE_MAX="6") as house:
        session_id = await house.link("u", random_phone())
        sending = []
        for number in range(6):
            sending.append(asyncio.create_task(_send(house, session_id, f"m{number}", f"k{number}")))
            # Requests that are under way together have no order; this one has its place once its key is known.
            await until("it has its place", lambda key=f"k{number}": _known(house, session_id, key))
        answers = await asyncio.gather(*sending)
        assert [answer.status_code for answer in answers] == [200] * 6
        assert await house.sent() == [f"m{number}" for number in range(6)]
        many = await asyncio.gather(*(_send(house, session_id, f"n{number}") for number in range(20)))
        refused = [answer for answer in many if answer.status_code == 429]
        assert refused, [answer.status_code for answer in many]
        assert {(a.json()["code"], a.json()["outcome"]) for a in refused} == {("send_queue_full", "not_sent")}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        assert len(await house.sent()) == 6 + sum(answer.status_code == 200 for answer in many)


async def test_a_shard_killed_between_sent_and_acknowledged_sends_exactly_one(open_house: Open) -> None:
    async with open_house(SEND_MIN_INTERVAL_MS="0", COMMAND_TIMEOUT_MS="8000") as house:
        session_id = await house.link("u", random_phone())
        await house.phone("config", ack_hold_ms=60_000)
        sending = asyncio.create_task(_send(house, session_id, "just once", "order-17"))

        async def taken() -> bool:
            return await house.sent() == ["just once"]

        await until("WhatsApp has the message", taken)
        await house.stop("shard_00", signal.SIGKILL)
        await house.phone("config", ack_hold_ms=0)
        await house.start("shard_00")
        answer = await sending
        assert (answer.status_code, answer.json()["outcome"]) == (503, "unknown"), answer.text
        assert await _outcome(house, session_id, "order-17") == "unknown"

        async def settled() -> httpx.Response | None:
            again = await _send(house, session_id, "just once", "order-17")
            assert again.json()["outcome"] in {"sent", "unknown"}, again.text
            return again if again.status_code == 200 else None

        await until("the same key says that it was sent", settled)
        assert await _outcome(house, session_id, "order-17") == "sent"
        assert await house.sent() == ["just once"]
        more = await _send(house, session_id, "and then", "order-18")
        assert more.status_code == 200
        assert await house.sent() == ["just once", "and then"]
