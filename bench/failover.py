"""How long is a session away when its shard dies? `python -m bench.failover [--sessions 20]`.

A whole installation under a real supervisord, with real Chromium on the stand-in. All sessions are brought to one
shard by a drain of the others, then that shard is lost in one of four ways, and every session is timed from that moment
until it is connected again under a new lease.
"""

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx

from bench.fleet import Fleet
from bench.form import Run, bench
from bench.report import Chart, Report, Spread, Table, Target

_SHARDS = 3
_GONE_LIMIT_S = 1.0

REPORTED, UNREPORTED, STOPPED, DRAINED = "killed, reported", "killed, not reported", "stopped", "drained"
WAYS = {
    REPORTED: "kill -9; the event listener reports it: its sessions move at once",
    UNREPORTED: "kill -9 without the listener: supervisord has it back within the grace time",
    STOPPED: "SIGSTOP, as a host that hangs: silence, grace time, the lease runs out; its guard ends Chromium",
    DRAINED: "an orderly drain, for comparison: each session is away for its own handover only",
}
_KILLED = {REPORTED, UNREPORTED}


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


@bench(title="How long is a session away when its shard dies?")
@click.option("--sessions", default=20, show_default=True, type=click.IntRange(1, 200))
async def main(run: Run, *, sessions: int) -> Report:
    """Lose a shard in four ways; --quick only kills it, with one session."""
    ways, shards = list(WAYS), _SHARDS
    if run.quick:
        ways, shards, sessions = [REPORTED], 2, 1
    drained_s, losses = [], []
    async with Installation.installed(shards=shards) as installation:
        with run.progress("linking sessions", sessions) as advance:
            await installation.link(sessions, tell=advance)
        with run.progress("losing shards", len(ways)) as advance:
            for number, way in enumerate(ways):
                shard = installation.shards[number % shards]
                drained_s.append(await installation.gather_on(shard))
                losses.append(await installation.lose(way, shard))
                advance()
    return _report(sessions, drained_s, losses)


class Installation(Fleet):
    """An installation that loses shards."""

    async def gather_on(self, shard: str) -> float:
        """Bring all sessions to one shard; return the seconds of the drain of the others."""
        began_mono_s = time.monotonic()
        others = [name for name in self.shards if name != shard]
        for name in others:
            (await self.http.post(f"/api/whatsapp/shards/{name}/drain")).raise_for_status()

        async def there() -> bool:
            shown = await self.shown()
            return all(s["runs_on"] == shard and s["status"] == "connected" for s in shown.values())

        await self.soon(there)
        took_s = time.monotonic() - began_mono_s
        for name in others:
            (await self.http.post(f"/api/whatsapp/shards/{name}/undrain")).raise_for_status()
        return took_s

    async def lose(self, way: str, shard: str) -> Lost:
        """Lose a shard with all sessions on it, and wait until every one is connected again."""
        before = await self.shown()
        lost = Lost(way=way)
        if way == UNREPORTED:
            self.house.control("stop", "exits")
        pid, browsers = self.house.pid(f"shard:{shard}"), set(self._browsers(shard))
        began_mono_s = time.monotonic()
        if way == DRAINED:
            (await self.http.post(f"/api/whatsapp/shards/{shard}/drain")).raise_for_status()
        else:
            os.kill(pid, signal.SIGSTOP if way == STOPPED else signal.SIGKILL)
        ends = asyncio.create_task(_gone(browsers, began_mono_s)) if way in _KILLED else None
        await self._time_returns(lost, before, began_mono_s)
        if ends is not None:
            lost.orphans_gone_s = await ends
        await self._mend(way, shard, pid)
        return lost

    async def _time_returns(self, lost: Lost, before: dict[str, dict[str, Any]], began_mono_s: float) -> None:
        waiting, gone = set(before), dict.fromkeys(before, 0.0)
        deadline = began_mono_s + 180
        while waiting and time.monotonic() < deadline:
            shown = await self.shown()
            now = time.monotonic() - began_mono_s
            for session_id in list(waiting):
                seen, was = shown[session_id], before[session_id]
                lost.qr_codes += seen["status"] == "qr"
                if lost.way == DRAINED and gone[session_id] == 0.0 and seen["status"] != "connected":
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
        if way == STOPPED:
            os.kill(pid, signal.SIGCONT)
        if way == DRAINED:
            (await self.http.post(f"/api/whatsapp/shards/{shard}/undrain")).raise_for_status()
        if way == UNREPORTED:
            self.house.control("start", "exits")
        await self.soon(self.all_alive)

    async def all_alive(self) -> bool:
        """Whether every shard lives."""
        with contextlib.suppress(httpx.TransportError):
            shards = (await self.http.get("/api/whatsapp/shards")).json()["shards"]
            return sum(shard["alive"] for shard in shards) == len(self.shards)
        return False


async def _gone(pids: set[int], began_mono_s: float) -> float:
    """Return after how many seconds none of these ran any more."""
    while any(_runs(pid) for pid in pids):
        await asyncio.sleep(0.005)
    return time.monotonic() - began_mono_s


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    return False


def _report(sessions: int, drained_s: list[float], losses: list[Lost]) -> Report:
    away_s = {lost.way: Spread.of(lost.away_s) for lost in losses}
    return Report(
        headlines=[
            *(f"{lost.way}: {WAYS[lost.way]}; all back after {away_s[lost.way].maximum:.1f} s" for lost in losses),
            f"all sessions handed over to one shard in {', '.join(f'{s:.1f}' for s in drained_s)} s",
        ],
        tables=[_table(sessions, losses, away_s)],
        data={
            "sessions": sessions,
            "drains_s": drained_s,
            "away_s": {way: asdict(spread) for way, spread in away_s.items()},
            "losses": [asdict(lost) for lost in losses],
        },
        charts=[
            Chart(
                title=f"sessions of a lost shard ({sessions})",
                x_label="seconds away",
                y_label="sessions connected again",
                series={lost.way: _returns(sorted(lost.away_s)) for lost in losses},
            )
        ],
        targets=_targets(losses),
    )


def _returns(away_s: list[float]) -> list[tuple[float | str, float]]:
    return [(away_s[0], 0), *((at_s, number + 1) for number, at_s in enumerate(away_s))]


def _table(sessions: int, losses: list[Lost], away_s: dict[str, Spread]) -> Table:
    rows = []
    for lost in losses:
        times = away_s[lost.way]
        rows.append(
            (
                lost.way,
                *(f"{time_s:.1f}" for time_s in (times.minimum, times.median, times.maximum)),
                f"{lost.elsewhere} of {times.count}",
                str(lost.qr_codes),
                f"{lost.orphans_gone_s:.2f}" if lost.orphans_gone_s is not None else "",
            )
        )
    return Table(
        title=f"seconds that a session is away, of all on the lost shard ({sessions})",
        columns=("lost by", "first", "median", "last", "elsewhere", "QR codes", "Chromium gone"),
        rows=rows,
    )


def _targets(losses: list[Lost]) -> list[Target]:
    qr_codes = sum(lost.qr_codes for lost in losses)
    gone_s = max((lost.orphans_gone_s for lost in losses if lost.orphans_gone_s is not None), default=0.0)
    moved = [lost for lost in losses if lost.way == REPORTED]
    return [
        Target(what="QR codes shown", wanted="0", found=str(qr_codes), met=not qr_codes, must=True),
        Target(
            what="Chromium of a killed shard gone",
            wanted=f"<= {_GONE_LIMIT_S:g} s",
            found=f"{gone_s:.2f} s",
            met=gone_s <= _GONE_LIMIT_S,
        ),
        *(
            Target(
                what="sessions connected elsewhere when a kill is reported",
                wanted="all",
                found=f"{lost.elsewhere} of {len(lost.away_s)}",
                met=lost.elsewhere == len(lost.away_s),
            )
            for lost in moved
        ),
    ]


if __name__ == "__main__":
    main()
