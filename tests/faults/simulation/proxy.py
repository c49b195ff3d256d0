"""The line between one process and Redis: a unix socket that can hang, or break and stay broken."""

import asyncio
import contextlib
from enum import StrEnum
from pathlib import Path


class Weather(StrEnum):
    """How the line is."""

    FAIR = "fair"
    HANGS = "hangs"
    """Nothing gets through; what is under way arrives once it is fair again."""
    BREAKS = "breaks"
    """Connections break, and new ones are refused."""


class Proxy:
    """One line. Connections belong to whoever connects to `path`."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self._target = target
        self._server: asyncio.Server | None = None
        self._fair = asyncio.Event()
        self._visits: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def open(self) -> None:
        """Take connections."""
        self._fair.set()
        await self._listen()

    async def turn(self, weather: Weather) -> None:
        """Change the weather."""
        if weather is Weather.BREAKS:
            await self.close()
            return
        if self._server is None:
            await self._listen()
        (self._fair.set if weather is Weather.FAIR else self._fair.clear)()

    async def close(self) -> None:
        """Break all connections and take no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.path.unlink(missing_ok=True)
        for visit, writer in list(self._visits.items()):
            writer.transport.abort()
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)
        self._fair.set()

    async def _listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._visited, self.path)

    def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.create_task(self._join(reader, writer))
        self._visits[visit] = writer
        visit.add_done_callback(self._visits.pop)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._fair.wait()
            far_reader, far_writer = await asyncio.open_unix_connection(str(self._target))
        except OSError:
            writer.transport.abort()
            return
        ways = [
            asyncio.ensure_future(self._carry(reader, far_writer)),
            asyncio.ensure_future(self._carry(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.transport.abort()
            far_writer.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                await self._fair.wait()
                writer.write(chunk)
                await writer.drain()
