"""How fast do webhooks go out? `python -m bench.webhooks [--events N] [--sessions N]`.

A real Redis, the real dispatcher, and a receiver on loopback in a process of its own. First all events wait and are
delivered as fast as it goes; then events are told at a steady rate, and the time from telling to arrival is taken. Once
alone, and once beside a session whose every event is refused and an endpoint that takes a second for each answer.
"""

import asyncio
import contextlib
import json
import logging
import multiprocessing
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import httpx
import psutil
import structlog
from aiohttp import web
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from bench.machine import machine
from daemon.core.clock import parse_iso, utc_now
from daemon.core.ids import new_id
from daemon.core.sections import RedisSettings, WebhookSettings
from daemon.registry.events import EventStream
from daemon.registry.link import RedisLink
from daemon.registry.outbox import Outbox
from daemon.registry.parked import Parked
from daemon.sessions.events import Event, EventKind
from daemon.webhooks.configured import Configured
from daemon.webhooks.dispatcher import WebhookDispatcher
from tests.servers.redis import redis_server

_KEY = "a-secret-of-the-benchmark"
_DEAD = "session-dead"
_SLOW_S = 1.0
_LIMIT_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run. Lag is from telling an event to its arrival."""

    name: str
    events: int
    sessions: int
    drained_s: float
    events_per_s: float
    steady_per_s: int
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    rss_before_bytes: int
    rss_after_bytes: int
    rss_most_bytes: int
    held_most: int
    """Events in the dispatcher's memory, of all endpoints."""
    parked_events: int
    out_of_order: int


class _Receiver:
    """What the receiving process does."""

    def __init__(self) -> None:
        self._lags_s: list[float] = []
        self._last: dict[str, int] = {}
        self._taken = 0
        self._out_of_order = 0

    async def take(self, request: web.Request) -> web.Response:
        """Take an event, but none of the dead session."""
        event = await request.json()
        if event["session_id"] == _DEAD:
            return web.Response(status=500)
        self._taken += 1
        self._lags_s.append(time.time() - parse_iso(event["timestamp"]).timestamp())
        number = event["data"]["n"]
        self._out_of_order += number <= self._last.get(event["session_id"], -1)
        self._last[event["session_id"]] = number
        return web.Response()

    async def take_slowly(self, request: web.Request) -> web.Response:
        """Take an event after a while."""
        await request.read()
        await asyncio.sleep(_SLOW_S)
        return web.Response()

    async def report(self, _request: web.Request) -> web.Response:
        """Say what came since the last report."""
        lags = sorted(self._lags_s)
        self._lags_s = []
        return web.json_response({"taken": self._taken, "out_of_order": self._out_of_order, "lags_s": lags})


def _receive(listener: socket.socket, ready: Connection) -> None:
    async def serve() -> None:
        receiver = _Receiver()
        app = web.Application()
        app.router.add_post("/hook", receiver.take)
        app.router.add_post("/slow", receiver.take_slowly)
        app.router.add_get("/report", receiver.report)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        ready.send(True)
        await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())


@contextlib.contextmanager
def _receiver() -> Iterator[str]:
    """Run a receiver in another process; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    told, ready = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_receive, args=(listener, ready), daemon=True)
    process.start()
    try:
        told.recv()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        process.kill()
        process.join()
        listener.close()


def _event(session_id: str, n: int) -> Event:
    data = {"id": f"true_5511999990000@c.us_{n:016X}", "from": "5511999990000@c.us", "body": "x" * 200, "n": n}
    return Event(
        event_id=new_id("evt"),
        kind=EventKind.MESSAGE,
        session_id=session_id,
        workspace_id="7",
        user_id="12",
        at=utc_now(),
        data=data,
    )


class _Watch:
    """The most memory and the most held events while it runs."""

    def __init__(self, dispatcher: WebhookDispatcher) -> None:
        self._dispatcher = dispatcher
        self.rss_bytes = self.held = 0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.rss_bytes = max(self.rss_bytes, _rss_bytes())
            self.held = max(self.held, self._dispatcher.held())
            await asyncio.sleep(0.05)


def _rss_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


@contextlib.asynccontextmanager
async def _delivering(link: RedisLink, url: str, more: Path | None) -> AsyncIterator[tuple[Outbox, _Watch]]:
    values: dict[str, Any] = {"LARAVEL_WEBHOOK": f"{url}/hook", "LARAVEL_WEBHOOK_SECRET": _KEY}
    settings = WebhookSettings.model_validate(values | ({"WEBHOOKS_FILE": str(more)} if more else {}))
    outbox = Outbox(link)
    dispatcher = WebhookDispatcher(outbox, Parked(link, outbox), settings, Configured(settings))
    stop, watch = asyncio.Event(), _Watch(dispatcher)
    tasks = [asyncio.create_task(dispatcher.run(stop)), asyncio.create_task(watch.run())]
    try:
        yield outbox, watch
    finally:
        stop.set()
        tasks[1].cancel()
        await asyncio.wait(tasks)


async def _taken(client: httpx.AsyncClient, count: int) -> dict[str, Any]:
    """Wait until so many events were taken; return the lags of those since the last report."""
    lags: list[float] = []
    deadline = time.monotonic() + _LIMIT_S
    while True:
        report = (await client.get("/report")).json()
        lags += report["lags_s"]
        if report["taken"] >= count:
            return {**report, "lags_s": sorted(lags)}
        if time.monotonic() > deadline:
            raise click.ClickException(f"only {report['taken']} of {count} events arrived in {_LIMIT_S:g} s")
        await asyncio.sleep(0.05)


async def _run(
    redis_url: str, url: str, *, events: int, sessions: int, rate: int, steady_s: float, beside: bool
) -> Run:
    async with (
        RedisLink(RedisSettings(REDIS_URL=SecretStr(redis_url))) as link,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client,
    ):
        await link.text.flushdb()
        stream = EventStream(link)
        with tempfile.TemporaryDirectory() as folder:
            more = Path(folder, "hooks.toml") if beside else None
            if more is not None:
                more.touch(mode=0o600)
                more.write_text(f"[[endpoint]]\nname = 'slow'\nurl = '{url}/slow'\nsecret = '{_KEY}'\n")
            before = (await client.get("/report")).json()["taken"]
            for n in range(events):
                await stream.publish(_event(f"session-{n % sessions}", n))
                if beside and n % 10 == 0:
                    await stream.publish(_event(_DEAD, n))
            rss_before = _rss_bytes()
            began = time.monotonic()
            async with _delivering(link, url, more) as (outbox, watch):
                await _taken(client, before + events)
                drained_s = time.monotonic() - began
                steady = round(rate * steady_s)
                told = time.monotonic()
                for n in range(steady):
                    await asyncio.sleep(max(0.0, told + n / rate - time.monotonic()))
                    await stream.publish(_event(f"session-{n % sessions}", events + n))
                report = await _taken(client, before + events + steady)
                parked = (await outbox.counts()).endpoints["laravel"].parked_events
                rss_after = _rss_bytes()
        lags = report["lags_s"][-steady:] if steady else []
    return Run(
        name="beside a dead session and a slow endpoint" if beside else "alone",
        events=events,
        sessions=sessions,
        drained_s=round(drained_s, 2),
        events_per_s=round(events / drained_s, 1),
        steady_per_s=rate,
        lag_p50_ms=_percentile_ms(lags, 50),
        lag_p99_ms=_percentile_ms(lags, 99),
        rss_before_bytes=rss_before,
        rss_after_bytes=rss_after,
        rss_most_bytes=watch.rss_bytes,
        held_most=watch.held,
        parked_events=parked,
        out_of_order=report["out_of_order"],
    )


def _percentile_ms(lags_s: list[float], percent: int) -> float | None:
    """Return it of sorted lags; None if there was no steady part."""
    return round(lags_s[min(len(lags_s) - 1, len(lags_s) * percent // 100)] * 1000, 1) if lags_s else None


@click.command()
@click.option("--events", default=10_000, help="How many events wait at first.")
@click.option("--sessions", default=100, help="Of how many sessions.")
@click.option("--rate", default=100, help="Events a second of the steady part.")
@click.option("--steady", "steady_s", default=10.0, help="Seconds of the steady part.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(events: int, sessions: int, rate: int, steady_s: float, as_json: bool) -> None:
    """Measure throughput, lag and memory of webhooks."""
    runs = measure(events=events, sessions=sessions, rate=rate, steady_s=steady_s)
    facts = asyncio.run(machine(Path(tempfile.gettempdir())))
    if as_json:
        click.echo(json.dumps({"machine": facts, "runs": [asdict(run) for run in runs]}))
        return
    console = Console(highlight=False)
    console.print(table_of(runs))
    console.print(json.dumps(facts))


def measure(*, events: int = 10_000, sessions: int = 100, rate: int = 100, steady_s: float = 10.0) -> list[Run]:
    """Deliver alone, and beside a dead session and a slow endpoint."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    runs = []
    with redis_server() as redis_url:
        for beside in (False, True):
            with _receiver() as url:
                run = _run(
                    redis_url, url, events=events, sessions=sessions, rate=rate, steady_s=steady_s, beside=beside
                )
                runs.append(asyncio.run(run))
    return runs


def table_of(runs: list[Run]) -> Table:
    """Return what was measured, for people."""
    table = Table("", *(run.name for run in runs), box=None)
    table.add_row("events waiting at first", *(f"{run.events} of {run.sessions} sessions" for run in runs))
    table.add_row("delivered in", *(f"{run.drained_s:.1f} s" for run in runs))
    table.add_row("events a second", *(f"{run.events_per_s:.0f}" for run in runs))
    if all(run.lag_p50_ms is not None for run in runs):
        table.add_row("lag p50 / p99", *(f"{run.lag_p50_ms} / {run.lag_p99_ms} ms" for run in runs))
        table.add_row("  at a steady", *(f"{run.steady_per_s} a second" for run in runs))
    table.add_row("memory before", *(f"{run.rss_before_bytes / 1e6:.1f} MB" for run in runs))
    table.add_row(
        "memory after / most", *(f"{run.rss_after_bytes / 1e6:.1f} / {run.rss_most_bytes / 1e6:.1f} MB" for run in runs)
    )
    table.add_row("events in memory, most", *(str(run.held_most) for run in runs))
    table.add_row("events parked in the end", *(str(run.parked_events) for run in runs))
    table.add_row("out of order", *(str(run.out_of_order) for run in runs))
    return table


if __name__ == "__main__":
    main()
