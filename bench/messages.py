"""What do we add to sending a message? `python -m bench.messages [--messages 200] [--sessions 20]`.

A whole installation on the stand-in. Latency: the same text is sent by turns as a direct call into an open page, over
HTTP, and over HTTP with an Idempotency-Key, so that a noisy machine disturbs all three alike. Throughput: all sessions
send at once, each its next message when the one before is taken. Pauses between messages are off. Then webhooks, as
`bench.webhooks` measures them.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import click

from bench import webhooks
from bench.fleet import Fleet
from bench.form import Advance, Run, bench
from bench.report import Chart, Report, Spread, Table, Target, distribution, percentile
from daemon.sessions.outgoing import Outgoing, Text
from daemon.sessions.sends import new_message_id
from tests.integration.page.phone import OpenPage, World

_SHARDS = 2
_TO = "5511888880001"
_ADDED_LIMIT_MS = 5.0

DIRECT, HTTP, KEYED = "direct page call", "over HTTP", "over HTTP with a key"


@dataclass(kw_only=True)
class Way:
    """One way to send, and how long each message took, in milliseconds."""

    name: str
    took_ms: list[float] = field(default_factory=list)

    def at(self, percent: int) -> float:
        """Return a percentile."""
        return percentile(self.took_ms, percent / 100)


@dataclass(frozen=True, kw_only=True)
class Sustained:
    """What went out while all sessions sent."""

    sessions: int
    wall_s: float
    took_ms: list[float]
    per_second: list[int]
    """How many were taken in each whole second."""
    cpu_percent: float
    """Of one CPU, by coordinator and shards without their browsers, in the same time."""

    @property
    def per_s(self) -> float:
        """Messages a second over the whole time."""
        return len(self.took_ms) / self.wall_s


@bench(title="What do we add to sending a message?")
@click.option("--messages", default=200, show_default=True, type=click.IntRange(100, 10_000), help="For latency.")
@click.option("--sessions", default=20, show_default=True, type=click.IntRange(1, 100), help="For throughput.")
@click.option("--seconds", default=20.0, show_default=True, type=click.FloatRange(1, 600), help="For throughput.")
async def main(run: Run, *, messages: int, sessions: int, seconds: float) -> Report:
    """Latency and throughput of sending, then webhooks."""
    shards, warm_up, load = _SHARDS, 10, webhooks.WHOLE
    if run.quick:
        messages, sessions, seconds, shards, warm_up, load = 5, 1, 1.0, 1, 1, webhooks.QUICK
    settings = {"SEND_MIN_INTERVAL_MS": "0", "RATE_LIMIT_PER_MINUTE": "0"}
    async with Fleet.installed(shards=shards, **settings) as fleet, _client(fleet) as client:
        with run.progress("linking sessions", sessions) as advance:
            await fleet.link(sessions, tell=advance)
        async with World(fleet.standin, run.work).paired() as page:
            with run.progress("sending by turns", warm_up + messages) as advance:
                ways = await latency(client, fleet.sessions[0], page, messages, warm_up, advance)
        with run.progress("sending from all sessions", seconds) as advance:
            rate = await sustained(client, fleet, seconds, advance)
    return _report(ways, rate, await webhooks.measure(run, load))


def _client(fleet: Fleet) -> aiohttp.ClientSession:
    """Return a client whose own part in a request is small: httpx takes two milliseconds of each that are not ours."""
    return aiohttp.ClientSession(
        base_url=str(fleet.http.base_url), headers={"Authorization": fleet.http.headers["Authorization"]}
    )


async def latency(
    client: aiohttp.ClientSession, session_id: str, page: OpenPage, count: int, warm_up: int, advance: Advance
) -> list[Way]:
    """Send by turns in every way; the first `warm_up` of each are not counted."""

    async def direct(text: str) -> None:
        message = Outgoing(to=f"{_TO}@c.us", message_id=new_message_id(), content=Text(text=text))
        await page.page.send(message)

    async def http(text: str) -> None:
        await _post(client, session_id, text, key=None)

    async def keyed(text: str) -> None:
        await _post(client, session_id, text, key=secrets.token_hex(16))

    senders: dict[str, Callable[[str], Awaitable[None]]] = {DIRECT: direct, HTTP: http, KEYED: keyed}
    ways = {name: Way(name=name) for name in senders}
    for number in range(warm_up + count):
        for name, send in senders.items():
            began_mono_s = time.perf_counter()
            await send(f"message {number}")
            if number >= warm_up:
                ways[name].took_ms.append((time.perf_counter() - began_mono_s) * 1000)
        advance()
    return list(ways.values())


async def sustained(client: aiohttp.ClientSession, fleet: Fleet, seconds: float, advance: Advance) -> Sustained:
    """Have every session send one message after another, after one that is not counted."""

    async def send(session_id: str) -> None:
        await _post(client, session_id, "sustained", key=secrets.token_hex(16))

    await asyncio.gather(*(send(session_id) for session_id in fleet.sessions))
    took_ms: list[float] = []
    ended: Counter[int] = Counter()
    began_mono_s, before_cpu_s = time.perf_counter(), _cpu_s(fleet)

    async def send_on(session_id: str) -> None:
        while (at_s := time.perf_counter() - began_mono_s) < seconds:
            await send(session_id)
            ended_s = time.perf_counter() - began_mono_s
            took_ms.append((ended_s - at_s) * 1000)
            ended[int(ended_s)] += 1
            advance((ended_s - at_s) / len(fleet.sessions))

    await asyncio.gather(*(send_on(session_id) for session_id in fleet.sessions))
    wall_s = time.perf_counter() - began_mono_s
    return Sustained(
        sessions=len(fleet.sessions),
        wall_s=wall_s,
        took_ms=took_ms,
        per_second=[ended[second] for second in range(int(seconds))],
        cpu_percent=(_cpu_s(fleet) - before_cpu_s) / wall_s * 100,
    )


def _cpu_s(fleet: Fleet) -> float:
    spent = 0.0
    for process in fleet.house.processes():
        line = " ".join(process.cmdline())
        if "-m shards" in line or line.endswith("-m daemon"):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


async def _post(client: aiohttp.ClientSession, session_id: str, text: str, *, key: str | None) -> None:
    headers = {"Idempotency-Key": key} if key else {}
    body = {"session_id": session_id, "to": _TO, "message": text}
    async with client.post("/api/whatsapp/send", json=body, headers=headers) as answer:
        if answer.status != 200:
            raise click.ClickException(f"not sent: {await answer.text()}")
        await answer.read()


def _report(ways: list[Way], rate: Sustained, delivered: Report) -> Report:
    direct, *added = ways
    return Report(
        headlines=[
            *(f"{way.name}: p50 {way.at(50) - direct.at(50):+.1f} ms on {direct.at(50):.1f} ms" for way in added),
            f"all sessions at once ({rate.sessions}) for {rate.wall_s:.1f} s: {rate.per_s:.1f} messages/s, "
            f"p50 {percentile(rate.took_ms, 0.5):.1f} ms, p99 {percentile(rate.took_ms, 0.99):.1f} ms; coordinator "
            f"and shards used {rate.cpu_percent:.0f} % of one CPU",
            *delivered.headlines,
        ],
        tables=[_latency_table(ways), _sustained_table(rate), *delivered.tables],
        data={
            "latency_ms": {way.name: {"p50": way.at(50), "p99": way.at(99)} for way in ways},
            "sustained": _sustained_data(rate),
            "webhooks": delivered.data,
        },
        charts=[*_charts(ways, rate), *delivered.charts],
        targets=[*(_target(direct, way) for way in added), *delivered.targets],
    )


def _sustained_data(rate: Sustained) -> dict[str, object]:
    return {
        "sessions": rate.sessions,
        "wall_s": rate.wall_s,
        "sent": len(rate.took_ms),
        "per_s": rate.per_s,
        "per_second": rate.per_second,
        "p50_ms": percentile(rate.took_ms, 0.5),
        "p99_ms": percentile(rate.took_ms, 0.99),
        "cpu_percent": rate.cpu_percent,
    }


def _latency_table(ways: list[Way]) -> Table:
    base, rows = ways[0], []
    for way in ways:
        added = [f"{way.at(p) - base.at(p):.1f}" if way is not base else "" for p in (50, 99)]
        ratio = f"{way.at(50) / base.at(50):.2f}" if way is not base else ""
        rows.append((way.name, f"{way.at(50):.1f}", f"{way.at(99):.1f}", *added, ratio))
    return Table(
        title=f"one text message until WhatsApp took it, {len(base.took_ms)} of each, by turns; ms",
        columns=("sent by", "p50", "p99", "p50 added", "p99 added", "p50 ratio"),
        rows=rows,
        caption="after a warm-up",
    )


def _sustained_table(rate: Sustained) -> Table:
    return Table(
        title=f"all sessions at once ({rate.sessions}), each one message after another",
        columns=("", "found"),
        rows=[
            ("messages a second", f"{rate.per_s:.1f}"),
            ("of each second", Spread.of(rate.per_second).text(".0f")),
            ("p50, ms", f"{percentile(rate.took_ms, 0.5):.1f}"),
            ("p99, ms", f"{percentile(rate.took_ms, 0.99):.1f}"),
            ("coordinator and shards, % of one CPU", f"{rate.cpu_percent:.0f}"),
        ],
    )


def _charts(ways: list[Way], rate: Sustained) -> list[Chart]:
    return [
        Chart(
            title="one text message until WhatsApp took it",
            x_label="percent of the messages",
            y_label="ms at most",
            series={way.name: distribution(way.took_ms) for way in ways},
        ),
        Chart(
            title=f"all sessions at once ({rate.sessions})",
            x_label="second",
            y_label="messages taken",
            series={"messages": [(second + 1, count) for second, count in enumerate(rate.per_second)]},
        ),
    ]


def _target(direct: Way, way: Way) -> Target:
    added_ms = way.at(50) - direct.at(50)
    return Target(
        what=f"added to the p50 by sending {way.name}",
        wanted=f"<= {_ADDED_LIMIT_MS:g} ms",
        found=f"{added_ms:.1f} ms",
        met=added_ms <= _ADDED_LIMIT_MS,
    )


if __name__ == "__main__":
    main()
