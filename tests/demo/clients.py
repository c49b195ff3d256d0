"""Speaks HTTP to the two ends of the demo: the daemon, as Laravel does, and the stand-in, as phones do."""

from typing import Any, Self

import httpx

Json = dict[str, Any]


class Daemon:
    """The coordinator's API."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=url, timeout=40, trust_env=False, headers={"Authorization": f"Bearer {token}"}
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def ready_with(self, shards: int) -> bool:
        """Whether it is ready and that many shards are alive."""
        try:
            if (await self._http.get("/health/ready")).status_code != 200:
                return False
            found = await self._json("GET", "/api/whatsapp/shards")
        except httpx.HTTPError:
            return False
        return sum(shard["alive"] for shard in found["shards"]) == shards

    async def create(self, workspace_id: str, user_id: str) -> Json:
        """Create a session."""
        return await self._json("POST", "/api/whatsapp/sessions", {"workspace_id": workspace_id, "user_id": user_id})

    async def session(self, session_id: str) -> Json:
        """Return a session as the API shows it."""
        return await self._json("GET", f"/api/whatsapp/sessions/{session_id}")

    async def qr_text(self, session_id: str) -> str | None:
        """Return the QR code that is on display, if there is one."""
        answer = await self._http.get(f"/api/whatsapp/sessions/{session_id}/qr", headers={"Accept": "text/plain"})
        return answer.text.strip() if answer.status_code == 200 else None

    async def send(self, session_id: str, to: str, message: str) -> Json:
        """Send a text."""
        body = {"session_id": session_id, "to": to, "message": message}
        return await self._json("POST", "/api/whatsapp/send", body)

    async def _json(self, method: str, path: str, body: Json | None = None) -> Json:
        answer = await self._http.request(method, path, json=body)
        if answer.is_error:
            raise RuntimeError(f"{method} {path} was answered {answer.status_code}: {answer.text}")
        return dict(answer.json())


class Phones:
    """The stand-in's control port."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=30, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def scan(self, qr: str, phone: str) -> bool:
        """Scan a QR code; False when it has just been replaced by the next."""
        answer = await self._http.post("/scan", json={"qr": qr, "phone": phone, "pushname": f"Phone {phone[-2:]}"})
        return answer.status_code == 200

    async def write(self, phone: str, sender: str, text: str) -> None:
        """Have a contact write to a phone."""
        answer = await self._http.post("/inbound", json={"phone": phone, "from": f"{sender}@c.us", "body": text})
        answer.raise_for_status()

    async def messages(self) -> list[Json]:
        """Return all messages that WhatsApp has seen."""
        return list((await self._http.get("/messages")).json())

    async def devices(self) -> dict[str, Json]:
        """Return each linked device by its phone number."""
        state = (await self._http.get("/state")).json()
        return {device["jid"].split("@")[0].split(":")[0]: device for device in state["devices"]}
