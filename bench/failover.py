"""How long is a session away when its shard dies? `python -m bench.failover [--sessions 20] [--quick] [--json]`.

A whole installation under a real supervisord, with real Chromium on the stand-in. All sessions are brought to one
shard by a drain of the others, then that shard is lost in one of four ways, and every session is timed from that moment
until it is connected again under a new lease.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from rich.table import Table

from bench.fleet import Fleet
from bench.machine import machine
from tests.integration.supervision.house import house, until
from tests.standin import StandIn

_LIMIT_S = 900.0
_SHARDS = 3

WAYS = {
    "killed, reported": "kill -9; the event listener reports it: its sessions move at once",
    "killed, not reported": "kill -9 without the listener: supervisord has it back within the grace time",
    "stopped": "SIGSTOP, as a host that hangs: silence, grace time, the lease runs out; its guard ends Chromium",
    "drained": "an orderly drain, for comparison: each session is away for its own handover only",
}


@dataclass(kw_only=True)
class Lost:
    """One way to lose a shard, and how long each session was away, in seconds."""

    way: str
    away_s: list[float] = field(default_factory=list)
    elsewhere: int = 0
    """How many were connected on another shard than before."""
    qr_codes: int = 0
    orphans_gone_s: float | None = None
    """Until no Chromium of the lost shard ran any more."""

    @property
    def last_s(self) -> float:
        """From the loss to the last session connected."""
        return max(self.away_s, default=0.0)


class Bench(Fleet):
    """An installation that loses shards."""

    async def gather_on(self, shard: str) -> float:
        """Bring all sessions to one shard; return the seconds of the drain of the others."""
        began = time.monotonic()
        others = [name for name in self._names() if name != shard]
        for name in others:
            (await self.http.post(f"/api/whatsapp/shards/{name}/drain")).raise_for_status()

        async def there() -> bool:
            shown = await self.shown()
            return all(s["runs_on"] == shard and s["status"] == "connected" for s in shown.values())

        await self.soon(there)
        took_s = time.monotonic() - began
        for name in others:
            (await self.http.post(f"/api/whatsapp/shards/{name}/undrain")).raise_for_status()
        return took_s

    async def lose(self, way: str, shard: str) -> Lost:
        """Lose a shard with all sessions on it, and wait until every one is connected again."""
        before = await self.shown()
        lost = Lost(way=way)
        if way == "killed, not reported":
            self.house.control("stop", "exits")
        pid, browsers = self.house.pid(f"shard:{shard}"), set(self._browsers(shard))
        began = time.monotonic()
        if way == "drained":
            (await self.http.post(f"/api/whatsapp/shards/{shard}/drain")).raise_for_status()
        else:
            os.kill(pid, signal.SIGSTOP if way == "stopped" else signal.SIGKILL)
        ends = asyncio.create_task(_gone(browsers, began)) if way.startswith("killed") else None
        await self._time_returns(lost, before, began)
        if ends is not None:
            lost.orphans_gone_s = await ends
        await self._mend(way, shard, pid)
        return lost

    async def _time_returns(self, lost: Lost, before: dict[str, dict[str, Any]], began: float) -> None:
        waiting, gone = set(before), dict.fromkeys(before, 0.0)
        deadline = began + 180
        while waiting and time.monotonic() < deadline:
            shown = await self.shown()
            now = time.monotonic() - began
            for session_id in list(waiting):
                seen, was = shown[session_id], before[session_id]
                lost.qr_codes += seen["status"] == "qr"
                if lost.way == "drained" and gone[session_id] == 0.0 and seen["status"] != "connected":
                    gone[session_id] = now
                if seen["token"] > was["token"] and seen["status"] == "connected":
                    waiting.discard(session_id)
                    lost.away_s.append(now - gone[session_id])
                    lost.elsewhere += seen["runs_on"] != was["runs_on"]
            await asyncio.sleep(0.02)
        if waiting:
            raise click.ClickException(f"{lost.way}: not connected again in 180 s: {sorted(waiting)}")

    def _browsers(self, shard: str) -> list[int]:
        mark = f"/profiles/{shard}/sessions/".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    line = (entry / "cmdline").read_bytes()
                    if mark in line and str(self.house.home.root).encode() in line:
                        found.append(int(entry.name))
        return found

    async def _mend(self, way: str, shard: str, pid: int) -> None:
        if way == "stopped":
            os.kill(pid, signal.SIGCONT)
        if way == "drained":
            (await self.http.post(f"/api/whatsapp/shards/{shard}/undrain")).raise_for_status()
        if way == "killed, not reported":
            self.house.control("start", "exits")
        await self.soon(self.all_alive)

    async def all_alive(self) -> bool:
        """Whether every shard lives."""
        with contextlib.suppress(httpx.TransportError):
            shards = (await self.http.get("/api/whatsapp/shards")).json()["shards"]
            return sum(shard["alive"] for shard in shards) == _SHARDS
        return False

    def _names(self) -> list[str]:
        return [f"shard_{number:02d}" for number in range(_SHARDS)]


async def _gone(pids: set[int], began: float) -> float:
    """Return after how many seconds none of these ran any more."""
    while any(_runs(pid) for pid in pids):
        await asyncio.sleep(0.005)
    return time.monotonic() - began


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    return False


@click.command()
@click.option("--sessions", default=20, show_default=True, type=click.IntRange(1, 200))
@click.option("--quick", is_flag=True, help="Six sessions, and only the two ways to be killed.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def main(sessions: int, quick: bool, as_json: bool) -> None:
    """Measure failover on this machine."""
    ways = list(WAYS)[:2] if quick else list(WAYS)
    facts, drained_s, losses = asyncio.run(asyncio.wait_for(_measure(6 if quick else sessions, ways), _LIMIT_S))
    if as_json:
        found = [dataclasses.asdict(lost) | {"last_s": lost.last_s} for lost in losses]
        click.echo(json.dumps({"machine": facts, "drains_s": drained_s, "losses": found}, indent=1))
    else:
        _show(facts, drained_s, losses)


async def _measure(sessions: int, ways: list[str]) -> tuple[dict[str, object], list[float], list[Lost]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        facts = await machine(Path(work))
    drained_s, losses = [], []
    async with StandIn(sync_ms=200, ref_ttl_ms=60_000) as standin:
        with house() as made:
            made.up(WHATSAPP_WEB_URL=standin.url, SHARD_COUNT=str(_SHARDS))
            await asyncio.to_thread(until, lambda: "Ready at" in made.output(), "the daemon is ready")
            headers = {"Authorization": f"Bearer {made.environment['API_TOKEN']}"}
            address = f"http://127.0.0.1:{made.port}"
            async with httpx.AsyncClient(base_url=address, headers=headers, timeout=60, trust_env=False) as http:
                bench = Bench(made, standin, http)
                await bench.link(sessions)
                for number, way in enumerate(ways):
                    shard = f"shard_{number % _SHARDS:02d}"
                    drained_s.append(await bench.gather_on(shard))
                    losses.append(await bench.lose(way, shard))
    return facts, drained_s, losses


def _show(facts: dict[str, object], drained_s: list[float], losses: list[Lost]) -> None:
    console = Console()
    console.width = max(console.width, 110)
    console.print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()))
    table = Table(title=f"seconds that a session is away, {len(losses[0].away_s)} sessions on the lost shard")
    for title in ("lost by", "first", "median", "last", "elsewhere", "QR codes", "Chromium gone"):
        table.add_column(title, justify="left" if title == "lost by" else "right")
    for lost in losses:
        times = sorted(lost.away_s)
        gone = f"{lost.orphans_gone_s:.2f}" if lost.orphans_gone_s is not None else ""
        table.add_row(
            lost.way, f"{times[0]:.1f}", f"{statistics.median(times):.1f}", f"{times[-1]:.1f}",
            f"{lost.elsewhere} of {len(times)}", str(lost.qr_codes), gone,
        )  # fmt: skip
    console.print(table)
    for way in [lost.way for lost in losses]:
        console.print(f"- {way}: {WAYS[way]}")
    console.print(f"- all sessions handed over to one shard in {', '.join(f'{s:.1f}' for s in drained_s)} s")


if __name__ == "__main__":
    main()
