"""Commands that go on until something comes or Ctrl-C does, as real processes; a code drawn on a terminal."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from daemon.core.clock import utc_now
from daemon.core.ids import new_id
from daemon.registry.registry import Registry
from daemon.sessions.events import Event, EventKind
from daemon.sessions.states import SessionState
from tests.integration.api.conftest import AnsweringShard
from tests.integration.cli.answering import answering, told
from tests.integration.cli.conftest import ROOT, Begin, Blazz
from tests.integration.house.house import free_port

ID = "session-12-7"


async def _tell(registry: Registry, number: int) -> None:
    event = Event(
        event_id=new_id("evt"), kind=EventKind.READY, session_id=ID, workspace_id="7", user_id="12", at=utc_now(),
        data={"number": number, "pushname": "Maria"},
    )  # fmt: skip
    await registry.events.publish(event)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not condition():
            await asyncio.sleep(0.05)


async def _interrupted(process: asyncio.subprocess.Process) -> int | None:
    """Press Ctrl-C until it has ended, as a person does: Python drops one that comes in the wrong moment."""
    ending = asyncio.create_task(process.wait())
    while not ending.done():
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await asyncio.wait([ending], timeout=15)
    return process.returncode


@pytest.fixture
async def line(api: httpx.AsyncClient) -> AsyncIterator["Line"]:
    """A connection to the coordinator that a test can cut."""
    made = Line(f"127.0.0.1:{free_port()}", f"127.0.0.1:{urlsplit(str(api.base_url)).port}")
    await made.mend()
    yield made
    await made.cut()


class Line:
    """Passes connections on until it is cut."""

    def __init__(self, address: str, target: str) -> None:
        self.address, self._target = address, target
        self._passing: asyncio.subprocess.Process | None = None

    async def mend(self) -> None:
        self._passing = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.servers.forward", f"{self.address}={self._target}",
            cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._passing.stdout is not None
        assert await self._passing.stdout.readline() == b"forwarding\n"

    async def cut(self) -> None:
        assert self._passing is not None
        self._passing.kill()
        await self._passing.wait()


async def test_events_are_followed_over_a_broken_connection_without_a_gap_until_ctrl_c(
    begin: Begin, registry: Registry, line: Line, tmp_path: Path
) -> None:
    await _tell(registry, 0)
    process = await begin(
        "events", "--follow", "--since", "0", "--json", "--session", ID, BLAZZ_URL=f"http://{line.address}"
    )
    assert process.stdout is not None

    async def number() -> int:
        assert process.stdout is not None
        async with asyncio.timeout(40):
            told = json.loads(await process.stdout.readline())
        assert told["data"]["pushname"] == "..."
        return int(told["data"]["number"])

    assert await number() == 0
    await _tell(registry, 1)
    assert await number() == 1
    await line.cut()
    await _tell(registry, 2)
    await _until(lambda: "is resumed" in (tmp_path / "stderr").read_text())
    await line.mend()
    await _tell(registry, 3)
    assert [await number(), await number()] == [2, 3]
    assert await _interrupted(process) == 130
    assert "Traceback" not in (tmp_path / "stderr").read_text()


async def test_a_session_is_made_and_its_code_drawn_on_the_terminal_until_it_is_scanned(
    begin: Begin, api: httpx.AsyncClient, shard: AnsweringShard
) -> None:
    screen, terminal = pty.openpty()
    os.set_blocking(screen, False)
    seen = b""

    def shows(text: str) -> bool:
        nonlocal seen
        with contextlib.suppress(OSError):
            seen += os.read(screen, 65536)
        return text in seen.decode(errors="replace")

    try:
        words = ("sessions", "create", "--workspace", "7", "--user", "12", "--qr", "--json")
        process = await begin(*words, stderr=terminal)
        await _until(lambda: shows(f"{ID} is pending"))
        await shard.show(ID, SessionState.QR, qr="2@abc,def,ghi")
        await _until(lambda: shows("█"))
        await shard.show(ID, SessionState.SYNCING)
        await _until(lambda: shows(f"{ID} is syncing"))
        assert process.returncode is None
        await shard.show(ID, SessionState.CONNECTED)
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        shows("")
    finally:
        os.close(screen)
        os.close(terminal)
    assert process.returncode == 0
    assert (json.loads(out)["status"], json.loads(out)["created"]) == ("connected", True)
    rows = [row for row in seen.decode().splitlines() if "█" in row]
    assert len(rows) > 12


async def test_ctrl_c_ends_the_wait_for_a_scan_and_the_session_stays(
    begin: Begin, blazz: Blazz, shard: AnsweringShard, tmp_path: Path
) -> None:
    waits = (("sessions", "create", "--workspace", "7", "--user", "12", "--qr"), ("sessions", "qr", ID, "--wait"))
    for words in waits:
        process = await begin(*words)
        await _until(lambda: "is pending" in (tmp_path / "stderr").read_text())
        assert await _interrupted(process) == 130, words
        assert "interrupted" in (tmp_path / "stderr").read_text()
    assert (await blazz("sessions", "show", ID))[0] == 0


async def test_ctrl_c_leaves_the_tally_of_a_redrive(begin: Begin) -> None:
    with answering() as server:
        server.answers(_=[told({"redriven": 2, "skipped": 0, "next_cursor": "more"})])
        process = await begin("webhooks", "redrive", "--endpoint", "e", "--json", BLAZZ_URL=server.url)
        await _until(lambda: len(server.asked) > 1)
        ending = asyncio.create_task(_interrupted(process))
        assert process.stdout is not None
        sent = json.loads(await process.stdout.read())
        assert (await ending, sent["redriven"] >= 2) == (130, True)
