"""A file on its way into the page: whatever happens to its send, the page does not keep it."""

import asyncio
import hashlib

import pytest

from daemon.core.errors import InvalidInputError, PageCallError
from daemon.sessions.outgoing import Media, MediaKind, Outgoing
from daemon.sessions.sends import new_message_id
from shards.page.calls import evaluate
from tests.integration.browser.rig import eventually
from tests.integration.page.phone import ALICE, OpenPage, World

PART_BYTES = 1_500_000
FILE = bytes(3 * PART_BYTES)
# `atob` is what the bridge reads each part with.
AT_THE_THIRD_PART = (
    "self.real = atob, self.parts = 0, self.atob = (part) => {{ if (++parts === 3) {}; return real(part); }}, 0"
)


@pytest.mark.parametrize(
    "mishap",
    [
        pytest.param("throw new Error('no memory')", id="a part does not get in"),
        pytest.param("self.WPP = undefined", id="refused, wa-js is gone"),
    ],
)
async def test_the_parts_of_a_file_that_is_not_sent_are_dropped(world: World, mishap: str) -> None:
    async with world.paired() as opened:
        await evaluate(opened.connection, AT_THE_THIRD_PART.format(mishap), timeout_s=5)
        with pytest.raises(PageCallError) as caught:
            await _send(opened)
        assert caught.value.ids["outcome"] == "not_sent"
        await eventually(lambda: _parts(opened), lambda parts: parts == 0)


async def test_the_parts_of_a_file_whose_send_is_cancelled_are_dropped(world: World) -> None:
    async with world.paired() as opened:
        sending = asyncio.create_task(_send(opened))
        await eventually(lambda: _parts(opened), lambda parts: parts > 0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await eventually(lambda: _parts(opened), lambda parts: parts == 0)


async def test_an_empty_file_is_refused(world: World) -> None:
    async with world.paired() as opened:
        with pytest.raises(InvalidInputError):
            await _send(opened, b"")


async def _send(opened: OpenPage, body: bytes = FILE) -> None:
    content = Media(
        kind=MediaKind.DOCUMENT,
        mimetype="application/pdf",
        filename="a.pdf",
        upload="",
        size_bytes=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
    )
    await opened.page.send(Outgoing(to=f"{ALICE}@c.us", message_id=new_message_id(), content=content), body=body)


async def _parts(opened: OpenPage) -> int:
    """How many parts the page holds, after a collection of what nobody holds."""
    await opened.connection.cdp("HeapProfiler.collectGarbage", timeout_s=5)
    usage = await opened.connection.cdp("Runtime.getHeapUsage", timeout_s=5)
    return int(usage["backingStorageSize"]) // PART_BYTES
