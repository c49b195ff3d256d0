"""What people do with messages comes from the page to the webhook and the event stream; files are fetched on demand."""

import asyncio
import base64
import json
import signal

from tests.integration.house.conftest import Open
from tests.integration.house.house import House, random_phone, until

BOB = "5511888880001@c.us"
CHANGES = ("message_edited", "message_revoked", "message_reaction")
PICTURE = bytes(range(256)) * 100


async def _inbound(house: House, phone: str, **body: str) -> str:
    """Have Bob write; return the whole id of the message."""
    answer = await house.phone("inbound", phone=phone, **{"from": BOB}, **body)
    return f"false_{BOB}_{answer['delivered'][0]['id']}"


def _bare(message_id: str) -> str:
    return message_id.rpartition("_")[2]


async def _streamed(house: House, session_id: str, heard: list[tuple[str, dict[str, str]]]) -> None:
    """Listen to the session's changes in the event stream until cancelled."""
    async with house.http.stream("GET", f"/api/whatsapp/events?session_id={session_id}") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                event = json.loads(line.removeprefix("data:"))
                heard.append((event["event"], event["data"]))


async def test_edits_revocations_and_reactions_come_as_webhooks_and_in_the_event_stream(open_house: Open) -> None:
    async with open_house() as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        heard: list[tuple[str, dict[str, str]]] = []
        listening = asyncio.create_task(_streamed(house, session_id, heard))
        text, other = await _inbound(house, phone, body="frist"), await _inbound(house, phone, body="oops")
        body = {"session_id": session_id, "to": BOB.partition("@")[0], "message": "hello"}
        sent = (await house.http.post("/api/whatsapp/send", json=body)).json()["message_id"]
        await house.event(session_id, "message", 2)
        await house.phone("edit", id=_bare(text), body="first")
        await house.phone("revoke_message", id=_bare(other))
        await house.phone("react", id=_bare(sent), emoji="👍")
        edited, revoked, reacted = [(await house.event(session_id, kind))["data"] for kind in CHANGES]
        assert (edited["message_id"], edited["from"], edited["body"]) == (text, BOB, "first")
        assert (revoked["message_id"], revoked["from"]) == (other, BOB)
        assert (reacted["message_id"], reacted["from"], reacted["emoji"]) == (sent, BOB, "👍")

        async def streamed() -> bool:
            return {kind for kind, _ in heard} >= set(CHANGES)

        await until("the stream has them, too", streamed)
        assert [data for kind, data in heard if kind == "message_edited"] == [edited]
        listening.cancel()


async def test_the_file_of_a_message_is_fetched_also_after_a_restart_and_its_text_can_still_be_edited(
    open_house: Open,
) -> None:
    async with open_house() as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        file = {"media": base64.b64encode(PICTURE).decode(), "mimetype": "image/png", "filename": "p.png"}
        text = await _inbound(house, phone, body="frist")
        picture = await _inbound(house, phone, type="image", caption="look", **file)
        told = (await house.event(session_id, "message", 2))["data"]
        assert (told["id"], told["has_media"], told["body"]) == (picture, True, "look")
        address = f"/api/whatsapp/sessions/{session_id}/messages/{picture}/media"
        for restart in (False, True):
            if restart:
                await house.stop("shard_00", signal.SIGTERM)
                await house.start("shard_00")
                await house.event(session_id, "session_restored")
                await house.status(session_id, "connected")
            answer = await house.http.get(address)
            assert (answer.status_code, answer.content) == (200, PICTURE)
            assert answer.headers["content-type"] == "image/png"
        await house.phone("edit", id=_bare(text), body="first")
        edited = (await house.event(session_id, "message_edited"))["data"]
        assert (edited["message_id"], edited["body"]) == (text, "first")
        unknown = await house.http.get(address.replace(_bare(picture), "3A" * 9))
        assert (unknown.status_code, unknown.json()["code"]) == (404, "message_not_found")
