"""No secret is in any log, error or command line, whatever is asked and however it fails, with logs at DEBUG."""

import asyncio
import json
import os

import httpx
import psutil

from tests.integration.house.conftest import Open
from tests.integration.house.house import SECRET, TOKEN, House, random_phone, until

SEND = "/api/whatsapp/send"
WRONG = "blz_abcdefghijkm_" + "W" * 43
TEXT, CAPTION, PERSON = "words-of-somebody-4711", "caption-of-somebody-4711", "Name-of-somebody-4711"
FILE = "file-of-somebody-4711"
WRONG_MESSAGE = "false_5511888880001@c.us_AAAAAAAAAAAAAAAA"


async def _follow(house: House, seen: list[str]) -> None:
    async with house.http.stream("GET", "/api/whatsapp/events", timeout=60) as events:
        async for line in events.aiter_lines():
            seen.append(line)


async def _ask(house: House, session_id: str, token: str) -> list[httpx.Response]:
    """Ask in every place where a secret could be put, rightly and wrongly."""
    async with httpx.AsyncClient(base_url=house.http.base_url, timeout=30, trust_env=False) as client:
        bearer = {"Authorization": f"Bearer {token}"}
        sessions = "/api/whatsapp/sessions"
        message = {"session_id": session_id, "to": "5511888880001", "message": TEXT}
        media = {"data": "SGVsbG8=", "mimetype": "text/plain", "caption": CAPTION}
        return [
            await client.get(sessions, headers=bearer),
            await client.get(sessions, headers={"Authorization": f"Basic {token}"}),
            await client.get(sessions, params={"token": token}),
            await client.get(f"{sessions}/{token}", headers=bearer),
            await client.get(f"/{token}", headers=bearer),
            await client.post(sessions, headers=bearer, json={"workspace_id": token, "user_id": TEXT + "!"}),
            await client.post(SEND, headers=bearer, json=message),
            await client.post(SEND, headers=bearer, json=message | {"to": TEXT}),
            await client.post(SEND, headers=bearer, json=message | {"session_id": "session-none"}),
            await client.post(SEND, headers=bearer | {"Idempotency-Key": "k"}, json=message),
            await client.post(SEND, headers=bearer, json={**message, "message": None, "media": media}),
            await client.post(
                f"{SEND}/file",
                headers=bearer,
                data={"session_id": session_id, "to": "5511888880001", "caption": CAPTION},
                files={"file": (f"{FILE}.txt", FILE.encode(), "text/plain")},
            ),
            await client.get(f"{sessions}/{session_id}/messages/{WRONG_MESSAGE}/media", headers=bearer),
            await client.get(f"{sessions}/{session_id}/sends/k", headers=bearer),
            await client.post(SEND, headers=bearer, content=f'{{"message": "{TEXT}"'.encode()),
            await client.get(f"{sessions}/{session_id}/qr", headers=bearer | {"Accept": "text/plain"}),
        ]


async def test_no_secret_is_in_a_log_an_error_or_a_command_line(open_house: Open) -> None:
    async with open_house(LOG_LEVEL="DEBUG", AUTH_FAILURES_PER_MINUTE="0") as house:
        phone = random_phone()
        followed: list[str] = []
        following = asyncio.create_task(_follow(house, followed))
        session_id = await house.create("u")
        await house.status(session_id, "qr")
        path = f"/api/whatsapp/sessions/{session_id}/qr"
        shown = (await house.http.get(path, headers={"Accept": "text/plain"})).text
        await house.scan(session_id, phone)
        await house.status(session_id, "connected")
        await until("the leader has compared tokens with the bucket", lambda: _tokens_known(house))
        made = (await house.http.post("/api/whatsapp/tokens", json={"name": "n", "scopes": ["send"]})).json()
        answers = [answer for token in (TOKEN, made["token"], WRONG) for answer in await _ask(house, session_id, token)]
        assert {200, 401, 403, 404, 422} <= {answer.status_code for answer in answers}
        await house.phone("inbound", phone=phone, body=TEXT, pushname=PERSON, **{"from": "5511888880001@c.us"})
        await house.event(session_id, "message")
        await until("the follower was told", lambda: _holds(followed, shown, TEXT))
        following.cancel()
        assert (await house.http.delete(f"/api/whatsapp/tokens/{made['id']}")).status_code == 204
        answers += await _ask(house, session_id, made["token"])
        lines = await asyncio.to_thread(_command_lines)
        said = await house.blazz("sessions", "show", "session-none")
        await house.stop("shard_00")
        await house.stop("coordinator")

        secrets = [TOKEN, SECRET, made["token"], WRONG, shown, TEXT, CAPTION, PERSON, FILE]
        secrets.append(house.environment()["R2_SECRET_ACCESS_KEY"])
        errors = [answer.text for answer in answers if answer.is_error]
        assert len(errors) > 20
        for name, text in (
            ("logs", house.logs()),
            ("errors", json.dumps(errors)),
            ("argv", lines),
            ("cli", said.output),
        ):
            found = [secret[:12] for secret in secrets if secret in text]
            assert not found, f"{name} hold {found}"


async def _holds(lines: list[str], *words: str) -> bool:
    return all(any(word in line for line in lines) for word in words)


async def _tokens_known(house: House) -> bool:
    return (await house.http.get("/api/whatsapp/tokens")).status_code == 200


def _command_lines() -> str:
    lines = []
    for process in psutil.process_iter(["cmdline"]):
        if process.pid != os.getpid():
            lines.append(" ".join(process.info["cmdline"] or []))
    return "\n".join(lines)
