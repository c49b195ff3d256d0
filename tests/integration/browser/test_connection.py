"""The DevTools connection: limits, and how fast and how clearly its loss is noticed."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from daemon.core.errors import BrowserError, PageCallError, PageTimeoutError
from shards.browser.connection import BrowserConnection
from tests.integration.browser.rig import connected, spec_in

_FOREVER = {"expression": "new Promise(() => {})", "awaitPromise": True}


async def _evaluate(connection: BrowserConnection, expression: str, timeout_s: float = 5) -> object:
    answer = await connection.cdp("Runtime.evaluate", {"expression": expression}, timeout_s=timeout_s)
    return answer["result"].get("value")


def _be_busy(seconds: float) -> None:
    """Read nothing for a while, as a shard with many sessions may."""
    time.sleep(seconds)


async def test_a_hung_page_is_a_timeout_and_a_late_answer_harms_nothing(tmp_path: Path) -> None:
    async with connected(spec_in(tmp_path)) as (_, connection):
        with pytest.raises(PageTimeoutError):
            await _evaluate(connection, "const end = Date.now() + 700; while (Date.now() < end); 1", 0.2)
        assert await _evaluate(connection, "6 * 7") == 42
        assert not connection.lost.done()


async def test_a_command_that_chromium_refuses_is_not_a_lost_connection(tmp_path: Path) -> None:
    async with connected(spec_in(tmp_path)) as (_, connection):
        with pytest.raises(PageCallError, match=r"Nonsense\.command"):
            await connection.cdp("Nonsense.command", timeout_s=5)
        assert await _evaluate(connection, "1") == 1


async def test_large_texts_of_any_letters_go_to_the_page_and_back(tmp_path: Path) -> None:
    said = 'a"b\\c\n\u00e9\u2028\U0001f600' * 200_000
    async with connected(spec_in(tmp_path)) as (_, connection):
        assert await _evaluate(connection, json.dumps(said)) == said


async def test_answers_find_their_questions_in_whatever_order_they_come(tmp_path: Path) -> None:
    async with connected(spec_in(tmp_path)) as (_, connection):
        slow = "new Promise((done) => setTimeout(done, {ms}, {ms}))"
        asked = [
            connection.cdp("Runtime.evaluate", {"expression": slow.format(ms=ms), "awaitPromise": True}, timeout_s=5)
            for ms in (300, 100, 200)
        ]
        version, *answers = await asyncio.gather(connection.browser_cdp("Browser.getVersion", timeout_s=5), *asked)
        assert version["product"].partition("/")[0] in {"Chrome", "HeadlessChrome"}
        assert [answer["result"]["value"] for answer in answers] == [300, 100, 200]


async def test_kill_9_of_chromium_is_noticed_within_a_second(tmp_path: Path) -> None:
    async with connected(spec_in(tmp_path)) as (process, connection):
        waiting = asyncio.ensure_future(connection.cdp("Runtime.evaluate", _FOREVER, timeout_s=60))
        await _evaluate(connection, "1")
        begun_mono_s = time.monotonic()
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(BrowserError, match="Chromium ended with -9|connection was closed"):
            await waiting
        await connection.lost
        await process.exited
        assert time.monotonic() - begun_mono_s < 1
        with pytest.raises(BrowserError):
            await _evaluate(connection, "1")


async def test_a_crashed_renderer_is_noticed_within_a_second(tmp_path: Path) -> None:
    async with connected(spec_in(tmp_path)) as (process, connection):
        waiting = asyncio.ensure_future(connection.cdp("Runtime.evaluate", _FOREVER, timeout_s=60))
        await _evaluate(connection, "1")
        begun_mono_s = time.monotonic()
        connection.cdp_nowait("Page.crash")
        with pytest.raises(BrowserError, match="renderer crashed"):
            await waiting
        assert time.monotonic() - begun_mono_s < 1
        assert await process.close(5, connection) is True


async def test_a_page_that_closes_is_noticed_within_a_second(tmp_path: Path) -> None:
    async with connected(spec_in(tmp_path)) as (_, connection):
        connection.cdp_nowait("Page.close")
        await asyncio.wait_for(connection.lost, 1)
        with pytest.raises(BrowserError):
            await _evaluate(connection, "1")


async def test_close_may_be_repeated_and_leaves_chromium_running(tmp_path: Path) -> None:
    async with connected(spec_in(tmp_path)) as (process, connection):
        await connection.close()
        await connection.close()
        assert connection.lost.done()
        assert not process.exited.done()


async def test_what_the_page_told_before_chromium_was_killed_is_still_heard(tmp_path: Path) -> None:
    heard: list[str] = []
    async with connected(spec_in(tmp_path)) as (process, connection):
        connection.on("Runtime.bindingCalled", lambda event: heard.append(event["payload"]))
        await connection.cdp("Runtime.enable", timeout_s=5)
        await connection.cdp("Runtime.addBinding", {"name": "told"}, timeout_s=5)
        pages_words = "setTimeout(() => { for (let n = 0; n < 500; n++) told(String(n)); }, 50)"
        await _evaluate(connection, pages_words)
        _be_busy(2)  # while the page tells, and while Chromium ends
        os.kill(process.pid, signal.SIGKILL)
        _be_busy(0.2)
        await process.exited
    assert heard == [str(number) for number in range(500)]
