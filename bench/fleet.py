"""A whole installation with linked sessions, as several benches need it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import click
import httpx

from tests.integration.supervision.house import House, house, until
from tests.standin import StandIn

_T = TypeVar("_T")


def _untold() -> None:
    """Tell nobody."""


class Fleet:
    """One installation with its sessions."""

    def __init__(self, made: House, standin: StandIn, http: httpx.AsyncClient, *, shards: int = 0) -> None:
        self.house = made
        self.standin = standin
        self.http = http
        self.sessions: list[str] = []
        self.shards = [f"shard_{number:02d}" for number in range(shards)]

    @classmethod
    @asynccontextmanager
    async def installed(cls, *, shards: int, sync_ms: int = 200, **settings: str) -> AsyncIterator[Self]:
        """Run an installation with these settings on a stand-in of its own; end all of it afterwards."""
        async with (
            StandIn(sync_ms=sync_ms, ref_ttl_ms=60_000) as standin,
            cls.installed_on(standin, shards=shards, WHATSAPP_WEB_URL=standin.url, **settings) as fleet,
        ):
            yield fleet

    @classmethod
    @asynccontextmanager
    async def installed_on(cls, standin: StandIn, *, shards: int, **settings: str) -> AsyncIterator[Self]:
        """Run an installation with these settings, which say how this stand-in is reached; end it afterwards."""
        with house() as made:
            launcher = made.up(SHARD_COUNT=str(shards), **settings)
            await asyncio.to_thread(
                until, lambda: "Ready at" in made.output() or launcher.poll() is not None, "the daemon is ready"
            )
            if launcher.poll() is not None:
                raise click.ClickException(f"the daemon did not start\n{made.output()[-2000:]}")
            headers = {"Authorization": f"Bearer {made.environment['API_TOKEN']}"}
            address = f"http://127.0.0.1:{made.port}"
            async with httpx.AsyncClient(base_url=address, headers=headers, timeout=60, trust_env=False) as http:
                yield cls(made, standin, http, shards=shards)

    async def link(self, count: int, *, tell: Callable[[], object] = _untold) -> None:
        """Create so many further sessions and scan their codes; `tell` is called for each that was scanned."""
        numbers = range(len(self.sessions), len(self.sessions) + count)
        for number in numbers:
            body = {"workspace_id": "1", "user_id": str(number)}
            answer = await self.http.post("/api/whatsapp/sessions", json=body)
            self.sessions.append(answer.json()["session_id"])
        slots = asyncio.Semaphore(4)

        async def scan(number: int) -> None:
            async with slots:
                text = await self.soon(lambda: self._qr(self.sessions[number]))
                body = {"qr": text, "phone": _phone(number), "pushname": "Bench"}
                async with httpx.AsyncClient(timeout=20, trust_env=False) as phone:
                    (await phone.post(f"{self.standin.control_url}/scan", json=body)).raise_for_status()
                tell()

        await asyncio.gather(*(scan(number) for number in numbers))
        await self.soon(self._all_archived)

    def phones(self) -> dict[str, str]:
        """Return the number that each session was linked to."""
        return {session_id: _phone(number) for number, session_id in enumerate(self.sessions)}

    async def shown(self) -> dict[str, dict[str, Any]]:
        """Return all sessions as the API shows them."""
        found: dict[str, dict[str, Any]] = {}
        cursor = None
        while True:
            params = {"limit": "500"} | ({"cursor": cursor} if cursor else {})
            page = (await self.http.get("/api/whatsapp/sessions", params=params)).json()
            found |= {shown["session_id"]: shown for shown in page["sessions"]}
            cursor = page["next_cursor"]
            if cursor is None:
                return found

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


def _phone(number: int) -> str:
    return f"55119{number:08d}"
