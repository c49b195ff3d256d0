"""Chromium's life as a process: start, clean end, kill, orphans."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from daemon.core.errors import BrowserError, PageTimeoutError
from shards.browser.connection import BrowserConnection
from shards.browser.orphans import sweep_orphans
from shards.browser.process import BrowserProcess
from shards.browser.procfs import group_members
from shards.browser.wire import Wire
from tests.integration.browser.rig import CHROMIUM, HEADLESS_SHELL, alive, connected, eventually, spec_in, started


async def _members(pgid: int) -> int:
    return len(group_members(pgid))


@pytest.mark.parametrize("binary", [HEADLESS_SHELL, CHROMIUM], ids=["headless-shell", "chromium"])
async def test_close_returns_clean_only_after_every_process_has_ended(tmp_path: Path, binary: Path) -> None:
    spec = spec_in(tmp_path, chromium_path=binary, headless_shell=binary is HEADLESS_SHELL)
    async with connected(spec) as (process, connection):
        assert os.getpgid(process.pid) == os.getsid(process.pid) == process.pid != os.getpgid(0)
        assert json.loads((tmp_path / "session.pgid").read_text())["pgid"] == process.pid
        assert process.version.split(".")[0].isdigit()
        assert await process.close(10, connection) is True
        assert process.exited.result() == 0
        assert group_members(process.pid) == []
        assert not (tmp_path / "session.pgid").exists()
        assert await process.close(10) is True


async def test_many_that_end_at_once_all_end_properly(tmp_path: Path) -> None:
    # Asked to end with its window still drawn, one headless-shell in 15 to 20 died of SIGTRAP instead.
    for number in range(3):
        async with AsyncExitStack() as stack:
            opened = [
                await stack.enter_async_context(connected(spec_in(tmp_path / f"{number}-{one}"))) for one in range(20)
            ]
            clean = await asyncio.gather(*(process.close(15, connection) for process, connection in opened))
            assert Counter(process.exited.result() for process, _ in opened) == {0: 20}
            assert set(clean) == {True}


async def test_chromium_is_asked_to_end_once_its_page_has_gone_and_it_is_at_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    async with connected(spec_in(tmp_path)) as (process, connection):
        send, at_rest = Wire.send, BrowserProcess.at_rest

        def sent(wire: Wire, method: str, params: dict[str, Any] | None = None) -> "asyncio.Future[Any]":
            steps.append(f"{method}, {'closed' if wire.page_closed.done() else 'open'}")
            return send(wire, method, params)

        async def rested(browser: BrowserProcess, limit_s: float) -> bool:
            steps.append("rest")
            rests = await at_rest(browser, limit_s)
            steps.append(f"rests: {rests}")
            return rests

        monkeypatch.setattr(Wire, "send", sent)
        monkeypatch.setattr(BrowserProcess, "at_rest", rested)
        assert await process.close(15, connection) is True
    assert steps == ["Target.closeTarget, open", "rest", "rests: True", "Browser.close, closed"]


async def test_at_rest_means_twice_in_a_row_and_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([True, False, True, False, False])
    async with started(spec_in(tmp_path)) as process:
        monkeypatch.setattr("shards.browser.process.is_busy", lambda _: next(looks))
        assert await process.at_rest(30) is True
        assert list(looks) == []
        monkeypatch.setattr("shards.browser.process.is_busy", lambda _: True)
        assert await process.at_rest(0.1) is False
        process.kill()
        await process.exited
        assert await process.at_rest(30) is True


async def test_a_chromium_that_lost_its_connection_while_closing_gets_the_signal(tmp_path: Path) -> None:
    spec = spec_in(tmp_path, chromium_path=CHROMIUM, headless_shell=False)
    async with connected(spec) as (process, connection):
        ending = asyncio.ensure_future(process.close(15, connection))
        await asyncio.sleep(0)  # the page is being closed
        await connection.close()
        assert await ending is True


async def test_a_page_that_hangs_does_not_keep_chromium_from_ending_properly(tmp_path: Path) -> None:
    async with connected(spec_in(tmp_path)) as (process, connection):
        connection.cdp_nowait("Runtime.evaluate", {"expression": "while (true);"})
        with pytest.raises(PageTimeoutError):
            await connection.cdp("Runtime.evaluate", {"expression": "1"}, timeout_s=0.5)
        begun_mono_s = time.monotonic()
        assert await process.close(15, connection) is True
        assert time.monotonic() - begun_mono_s < 5


async def test_the_user_agent_is_that_of_the_same_chromium_with_a_window(tmp_path: Path) -> None:
    async with connected(spec_in(tmp_path)) as (process, connection):
        answer = await connection.cdp("Runtime.evaluate", {"expression": "navigator.userAgent"}, timeout_s=5)
        major = process.version.split(".")[0]
        assert f" Chrome/{major}.0.0.0 " in answer["result"]["value"]


async def test_a_stopped_chromium_is_killed_when_its_grace_is_over(tmp_path: Path) -> None:
    async with connected(spec_in(tmp_path)) as (process, connection):
        os.killpg(process.pid, signal.SIGSTOP)
        begun_mono_s = time.monotonic()
        assert await process.close(0.5, connection) is False
        assert time.monotonic() - begun_mono_s < 3
        assert not alive(process.pid)


async def test_kill_is_synchronous_and_may_be_repeated(tmp_path: Path) -> None:
    async with started(spec_in(tmp_path)) as process:
        process.kill()
        process.kill()
        assert await asyncio.wait_for(process.exited, 15) == -signal.SIGKILL
        await eventually(lambda: _members(process.pid), lambda count: count == 0)
        process.kill()


async def test_a_missing_binary_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(BrowserError) as caught:
        await BrowserProcess.start(spec_in(tmp_path, chromium_path=tmp_path / "none"), timeout_s=5)
    assert "CHROMIUM_PATH" in caught.value.hint


async def test_a_chromium_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    binary = tmp_path / "chromium"
    binary.write_text(
        '#!/bin/sh\ncase "$1" in --version) echo Chromium 1.2.3.4;; *) echo "no luck today" >&2; exit 7;; esac\n'
    )
    binary.chmod(0o755)
    with pytest.raises(BrowserError, match="ended with 7 while starting: no luck today"):
        await BrowserProcess.start(spec_in(tmp_path, chromium_path=binary), timeout_s=5)
    assert not (tmp_path / "session.pgid").exists()


async def test_a_chromium_that_never_opens_its_port_is_killed(tmp_path: Path) -> None:
    binary = tmp_path / "chromium"
    binary.write_text('#!/bin/sh\ncase "$1" in --version) echo Chromium 1.2.3.4;; *) sleep 60;; esac\n')
    binary.chmod(0o755)
    with pytest.raises(BrowserError, match="did not open its DevTools port"):
        await BrowserProcess.start(spec_in(tmp_path, chromium_path=binary), timeout_s=0.5)
    assert not (tmp_path / "session.pgid").exists()


async def test_a_dead_owners_lock_is_removed_before_the_start(tmp_path: Path) -> None:
    spec = spec_in(tmp_path, chromium_path=CHROMIUM, headless_shell=False)
    spec.profile_dir.mkdir()
    (spec.profile_dir / "SingletonLock").symlink_to(f"{socket.gethostname()}-4194304")
    async with started(spec) as process:
        assert alive(process.pid)


async def test_the_same_profile_is_not_opened_twice(tmp_path: Path) -> None:
    spec = spec_in(tmp_path, chromium_path=CHROMIUM, headless_shell=False)
    async with started(spec):
        with pytest.raises(BrowserError, match="in use by another Chromium"):
            await BrowserProcess.start(spec, timeout_s=5)


_PARENT = """
import asyncio, sys
from pathlib import Path
from shards.browser.process import BrowserProcess
from tests.integration.browser.rig import spec_in

async def main():
    process = await BrowserProcess.start(spec_in(Path(sys.argv[1])), timeout_s=30)
    print(process.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_chromium_ends_with_a_killed_parent_and_its_note_is_swept(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    try:
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        assert alive(pid)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    await eventually(lambda: _members(pid), lambda count: count == 0, limit_s=15)
    assert sweep_orphans(tmp_path) == []
    assert not (tmp_path / "session.pgid").exists()


async def test_sweep_kills_a_noted_group(tmp_path: Path) -> None:
    async with started(spec_in(tmp_path)) as process:
        assert sweep_orphans(tmp_path) == [process.pid]
        assert await asyncio.wait_for(process.exited, 15) == -signal.SIGKILL


async def test_a_connection_to_a_dead_browser_fails_at_once(tmp_path: Path) -> None:
    async with started(spec_in(tmp_path)) as process:
        process.kill()
        await process.exited
        with pytest.raises(BrowserError):
            await asyncio.wait_for(BrowserConnection.open(process, timeout_s=30), 15)
