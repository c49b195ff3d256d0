"""People who write to a session all the time, and what of it came to Laravel."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.integration.house.house import House, until

BOB = "5511888880001@c.us"


class Chatter:
    """Everything that was written to one session."""

    def __init__(self, house: House, session_id: str, phone: str) -> None:
        self._house = house
        self._session_id = session_id
        self._phone = phone
        self._numbers = itertools.count()
        self.written: list[str] = []

    async def write(self, body: str) -> None:
        """Write one message."""
        await self._house.phone("inbound", phone=self._phone, **{"from": BOB}, body=body)
        self.written.append(body)

    @asynccontextmanager
    async def going_on(self, *, people: int = 4, pause_s: float = 0.01) -> AsyncIterator[None]:
        """Have people write one message after another."""
        over = asyncio.Event()
        address = f"{self._house.standin.control_url}/inbound"

        async def write_on(client: httpx.AsyncClient) -> None:
            while not over.is_set():
                body = f"m{next(self._numbers):05}"
                await client.post(address, json={"phone": self._phone, "from": BOB, "body": body})
                self.written.append(body)
                await asyncio.sleep(pause_s)

        async with httpx.AsyncClient(timeout=20) as client, asyncio.TaskGroup() as tasks:
            for _ in range(people):
                tasks.create_task(write_on(client))
            try:
                yield
            finally:
                over.set()

    def told(self) -> Counter[str]:
        """Return how often each body was told."""
        return Counter(event["data"]["body"] for event in self._house.receiver.of(self._session_id, "message"))

    async def all_told_once(self) -> None:
        """Wait until WhatsApp has nothing more to deliver, and fail unless everything was told once."""

        async def confirmed() -> bool:
            return not (await self._house.device(self._phone))["queue"]

        await until("WhatsApp has delivered everything", confirmed)
        await self.write("the last")

        async def complete() -> bool:
            return self.told().keys() >= set(self.written)

        with contextlib.suppress(AssertionError):
            await until("everything is told", complete, timeout_s=60)
        await asyncio.sleep(0.5)  # time for a second telling
        doubled = [body for body, times in self.told().items() if times > 1]
        missing = self.missing()
        assert not missing, f"{len(missing)} of {len(self.written)} not told: {missing[:20]}"
        assert not doubled, f"{len(doubled)} of {len(self.written)} told twice: {doubled[:20]}"

    def missing(self) -> list[str]:
        """Return what was written and not told."""
        told = self.told()
        return [body for body in self.written if body not in told]
