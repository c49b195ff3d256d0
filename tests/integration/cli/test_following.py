"""`blazz events --follow` over a connection that breaks: whatever was told meanwhile is printed."""

import asyncio
import contextlib
import json

import httpx

from daemon.core.clock import utc_now
from daemon.core.ids import new_id
from daemon.registry.registry import Registry
from daemon.sessions.events import Event, EventKind
from tests.integration.cli.conftest import Begin


class Relay:
    """A TCP connection to the coordinator that a test breaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self._gate = asyncio.Event()
        self._gate.set()
        self.followed = asyncio.Event()
        """Set once the first frame of a stream went through."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes both ways, once it is not cut."""
        await self._gate.wait()
        inner_reader, inner = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, inner]
        with contextlib.suppress(OSError):
            await asyncio.gather(self._pass(reader, inner), self._pass(inner_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while content := await reader.read(65536):
            writer.write(content)
            await writer.drain()
            if b": ok" in content:
                self.followed.set()
        writer.close()

    def cut(self) -> None:
        """End what is open once it has what was sent, and let nothing through until `mend`."""
        self._gate.clear()
        self.followed.clear()
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    def mend(self) -> None:
        """Let connections through again."""
        self._gate.set()


async def test_a_connection_that_breaks_before_its_first_event_is_resumed_where_it_began(
    begin: Begin, api: httpx.AsyncClient, registry: Registry
) -> None:
    async def tell(kind: EventKind, number: int) -> None:
        event = Event(
            event_id=new_id("evt"), kind=kind, session_id="s", workspace_id="7", user_id="1", at=utc_now(),
            data={"number": number},
        )  # fmt: skip
        await registry.events.publish(event)

    relay = Relay(api.base_url.port or 0)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with asyncio.timeout(40), server:
        process = await begin("events", "--follow", "--event", "ready", "--json", BLAZZ_URL=url)
        assert process.stdout is not None
        for number in range(2):
            await relay.followed.wait()
            relay.cut()
            await tell(EventKind.READY, number)
            await tell(EventKind.MESSAGE, 9)
            relay.mend()
            told = json.loads(await process.stdout.readline())
            assert told["data"] == {"number": number}
        relay.cut()
