"""What do we add to sending a message? `python -m bench.messages [--messages 200] [--sessions 20] [--json]`.

A whole installation on the stand-in. Latency: the same text is sent by turns as a direct call into an open page, over
HTTP, and over HTTP with an Idempotency-Key, so that a noisy machine disturbs all three alike. Throughput: all sessions
send at once, each its next message when the one before is taken. Pauses between messages are off. Then webhooks, as
`bench.webhooks` measures them.
"""

import asyncio
import dataclasses
import json
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import click
import httpx
from rich.console import Console
from rich.table import Table

from bench import webhooks
from bench.fleet import Fleet
from bench.machine import machine
from daemon.sessions.outgoing import Outgoing, Text
from daemon.sessions.sends import new_message_id
from tests.integration.page.phone import OpenPage, World
from tests.integration.supervision.house import house, until
from tests.standin import StandIn

_LIMIT_S = 900.0
_SHARDS = 2
_TO = "5511888880001"
_WARM_UP = 10

DIRECT, HTTP, KEYED = "direct page call", "over HTTP", "over HTTP with a key"


@dataclass(kw_only=True)
class Way:
    """One way to send, and how long each message took, in milliseconds."""

    name: str
    took_ms: list[float] = field(default_factory=list)

    def at(self, percent: int) -> float:
        """Return a percentile."""
        return statistics.quantiles(self.took_ms, n=100)[percent - 1]


@dataclass(frozen=True, kw_only=True)
class Sustained:
    """How many messages went out while all sessions sent for `seconds`."""

    sessions: int
    seconds: float
    sent: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_percent: float
    """Of one CPU, by coordinator and shards without their browsers, in the same time."""


async def latency(fleet: Fleet, page: OpenPage, count: int) -> list[Way]:
    """Send by turns in every way."""
    session_id = fleet.sessions[0]

    async def direct(text: str) -> None:
        message = Outgoing(to=f"{_TO}@c.us", message_id=new_message_id(), content=Text(text=text))
        await page.page.send(message)

    async def http(text: str) -> None:
        await _post(fleet.http, session_id, text, key=None)

    async def keyed(text: str) -> None:
        await _post(fleet.http, session_id, text, key=secrets.token_hex(16))

    senders: dict[str, Callable[[str], Awaitable[None]]] = {DIRECT: direct, HTTP: http, KEYED: keyed}
    ways = {name: Way(name=name) for name in senders}
    for number in range(count + _WARM_UP):
        for name, send in senders.items():
            began = time.perf_counter()
            await send(f"message {number}")
            if number >= _WARM_UP:
                ways[name].took_ms.append((time.perf_counter() - began) * 1000)
    return list(ways.values())


async def sustained(fleet: Fleet, seconds: float) -> Sustained:
    """Have every session send one message after another."""
    took_ms: list[float] = []
    began, before_s = time.perf_counter(), _cpu_s(fleet)

    async def send(session_id: str) -> None:
        while time.perf_counter() - began < seconds:
            at = time.perf_counter()
            await _post(fleet.http, session_id, "sustained", key=secrets.token_hex(16))
            took_ms.append((time.perf_counter() - at) * 1000)

    await asyncio.gather(*(send(session_id) for session_id in fleet.sessions))
    lasted_s = time.perf_counter() - began
    parts = statistics.quantiles(took_ms, n=100)
    return Sustained(
        sessions=len(fleet.sessions),
        seconds=round(lasted_s, 1),
        sent=len(took_ms),
        per_s=round(len(took_ms) / lasted_s, 1),
        p50_ms=round(parts[49], 1),
        p99_ms=round(parts[98], 1),
        cpu_percent=round((_cpu_s(fleet) - before_s) / lasted_s * 100, 1),
    )


def _cpu_s(fleet: Fleet) -> float:
    spent = 0.0
    for process in fleet.house.processes():
        line = " ".join(process.cmdline())
        if "-m shards" in line or line.endswith("-m daemon"):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


async def _post(http: httpx.AsyncClient, session_id: str, text: str, *, key: str | None) -> None:
    headers = {"Idempotency-Key": key} if key else {}
    body = {"session_id": session_id, "to": _TO, "message": text}
    answer = await http.post("/api/whatsapp/send", json=body, headers=headers)
    if answer.status_code != 200:
        raise click.ClickException(f"not sent: {answer.text}")


@click.command()
@click.option("--messages", default=200, show_default=True, type=click.IntRange(100, 10_000), help="For latency.")
@click.option("--sessions", default=20, show_default=True, type=click.IntRange(1, 100), help="For throughput.")
@click.option("--seconds", default=20.0, show_default=True, type=click.FloatRange(1, 600), help="For throughput.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def main(messages: int, sessions: int, seconds: float, as_json: bool) -> None:
    """Measure sending on this machine."""
    facts, ways, rate = asyncio.run(asyncio.wait_for(_measure(messages, sessions, seconds), _LIMIT_S))
    click.echo("delivering 10,000 events that wait for webhooks, twice", err=True)
    runs = webhooks.measure()
    if as_json:
        click.echo(
            json.dumps(
                {
                    "machine": facts,
                    "latency_ms": {way.name: {"p50": way.at(50), "p99": way.at(99)} for way in ways},
                    "sustained": dataclasses.asdict(rate),
                    "webhooks": [dataclasses.asdict(run) for run in runs],
                },
                indent=1,
            )
        )
    else:
        _show(facts, ways, rate)
        Console(highlight=False).print(webhooks.table_of(runs))


async def _measure(messages: int, sessions: int, seconds: float) -> tuple[dict[str, object], list[Way], Sustained]:
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        facts = await machine(Path(work))
        async with StandIn(sync_ms=200, ref_ttl_ms=60_000) as standin:
            with house() as made:
                settings = {"SEND_MIN_INTERVAL_MS": "0", "RATE_LIMIT_PER_MINUTE": "0"}
                made.up(WHATSAPP_WEB_URL=standin.url, SHARD_COUNT=str(_SHARDS), **settings)
                await asyncio.to_thread(until, lambda: "Ready at" in made.output(), "the daemon is ready")
                headers = {"Authorization": f"Bearer {made.environment['API_TOKEN']}"}
                address = f"http://127.0.0.1:{made.port}"
                async with httpx.AsyncClient(base_url=address, headers=headers, timeout=60, trust_env=False) as http:
                    fleet = Fleet(made, standin, http)
                    click.echo(f"linking {sessions} sessions", err=True)
                    await fleet.link(sessions)
                    click.echo(f"sending {messages} messages in each way", err=True)
                    async with World(standin, Path(work)).paired() as page:
                        ways = await latency(fleet, page, messages)
                    click.echo(f"sending from all sessions for {seconds:.0f} s", err=True)
                    rate = await sustained(fleet, seconds)
    return facts, ways, rate


def _show(facts: dict[str, object], ways: list[Way], rate: Sustained) -> None:
    console = Console()
    console.width = max(console.width, 110)
    console.print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()))
    table = Table(title=f"one text message until WhatsApp took it, {len(ways[0].took_ms)} of each, by turns; ms")
    for title in ("sent by", "p50", "p99", "p50 added", "p99 added", "p50 ratio"):
        table.add_column(title, justify="left" if title == "sent by" else "right")
    base = ways[0]
    for way in ways:
        added = [f"{way.at(p) - base.at(p):.1f}" if way is not base else "" for p in (50, 99)]
        ratio = f"{way.at(50) / base.at(50):.2f}" if way is not base else ""
        table.add_row(way.name, f"{way.at(50):.1f}", f"{way.at(99):.1f}", *added, ratio)
    console.print(table)
    console.print(
        f"{rate.sessions} sessions for {rate.seconds} s: {rate.per_s} messages/s, p50 {rate.p50_ms} ms, "
        f"p99 {rate.p99_ms} ms; coordinator and shards used {rate.cpu_percent} % of one CPU"
    )


if __name__ == "__main__":
    main()
