"""A whole installation with linked sessions, as several benches need it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click
import httpx

from tests.integration.supervision.house import House
from tests.standin import StandIn

_T = TypeVar("_T")


class Fleet:
    """One installation with its sessions."""

    def __init__(self, made: House, standin: StandIn, http: httpx.AsyncClient) -> None:
        self.house = made
        self._standin = standin
        self.http = http
        self.sessions: list[str] = []

    async def link(self, count: int) -> None:
        """Create sessions and scan their codes."""
        for number in range(count):
            body = {"workspace_id": "1", "user_id": str(number)}
            answer = await self.http.post("/api/whatsapp/sessions", json=body)
            self.sessions.append(answer.json()["session_id"])
        slots = asyncio.Semaphore(4)

        async def scan(number: int, session_id: str) -> None:
            async with slots:
                text = await self.soon(lambda: self._qr(session_id))
                body = {"qr": text, "phone": f"55119{number:08d}", "pushname": "Bench"}
                async with httpx.AsyncClient(timeout=20, trust_env=False) as phone:
                    (await phone.post(f"{self._standin.control_url}/scan", json=body)).raise_for_status()

        await asyncio.gather(*(scan(number, session_id) for number, session_id in enumerate(self.sessions)))
        await self.soon(self._all_archived)

    async def shown(self) -> dict[str, dict[str, Any]]:
        """Return all sessions as the API shows them."""
        answer = await self.http.get("/api/whatsapp/sessions", params={"limit": 500})
        return {shown["session_id"]: shown for shown in answer.json()["sessions"]}

    async def _qr(self, session_id: str) -> str | None:
        path = f"/api/whatsapp/sessions/{session_id}/qr"
        answer = await self.http.get(path, headers={"Accept": "text/plain"})
        return answer.text if answer.status_code == 200 else None

    async def _all_archived(self) -> bool:
        shown = (await self.shown()).values()
        return all(s["status"] == "connected" and s["archive"] and s["hot_copy"] for s in shown)

    async def soon(self, probe: Callable[[], Awaitable[_T | None]], *, limit_s: float = 180.0) -> _T:
        """Return the first true answer of `probe`."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if found := await probe():
                return found
            await asyncio.sleep(0.1)
        raise click.ClickException(f"not within {limit_s:.0f} s\n{self.house.output()[-2000:]}")
