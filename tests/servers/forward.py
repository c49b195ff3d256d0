"""Passing TCP connections on: `python -m tests.servers.forward LISTEN=TARGET ...` with host:port or a socket's path.

It is how processes in a network namespace of their own reach servers that listen on another loopback.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence

_CHUNK_BYTES = 65536


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()


async def _open(target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if target.startswith("/"):
        return await asyncio.open_unix_connection(target)
    host, _, port = target.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def listen(address: str, target: str) -> asyncio.Server:
    """Listen on `address` (host:port) and pass each connection on to `target`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await _open(target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, there_writer), _pass_on(there_reader, writer))

    host, _, port = address.rpartition(":")
    return await asyncio.start_server(serve, host, int(port))


@contextlib.asynccontextmanager
async def forwarding(pairs: Sequence[tuple[str, str]]) -> AsyncIterator[None]:
    """Pass connections on for as long as the block lasts."""
    async with contextlib.AsyncExitStack() as stack:
        for address, target in pairs:
            server = await listen(address, target)
            stack.callback(server.close)
        yield


async def _main(words: Sequence[str]) -> None:
    async with forwarding([(a, t) for a, _, t in (word.partition("=") for word in words)]):
        print("forwarding", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
