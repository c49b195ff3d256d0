"""How fast do webhooks go out? `python -m bench.webhooks [--events N] [--sessions N]`.

A real Redis, the real dispatcher, and a receiver on loopback in a process of its own. First all events wait and are
delivered as fast as it goes; then events are told at a steady rate, and the time from telling to arrival is taken. By
turns alone, and beside a session whose every event is refused and an endpoint that takes a second for each answer.
"""

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx
import psutil
import structlog
from pydantic import SecretStr

from bench.form import Advance, Run, bench
from bench.receiver import DEAD, SLOW_S
from bench.report import Chart, Report, Spread, Table, Target, distribution, percentile
from daemon.core.clock import utc_now
from daemon.core.ids import new_id
from daemon.core.sections import RedisSettings, WebhookSettings
from daemon.registry.events import EventStream
from daemon.registry.link import RedisLink
from daemon.registry.outbox import Outbox
from daemon.registry.parked import Parked
from daemon.sessions.events import Event, EventKind
from daemon.webhooks.configured import Configured
from daemon.webhooks.dispatcher import WebhookDispatcher
from tests.servers.child import running
from tests.servers.redis import redis_server

_KEY = "a-secret-of-the-benchmark"
_LIMIT_S = 600.0
_REFUSED_EVERY = 10
_HELD_BOUND = 1000 + 16 * 20
"""What an endpoint may have in memory: docs/decisions/0027."""
ALONE, BESIDE = "alone", "beside trouble"
_WAYS = {ALONE: 1, BESIDE: 2}
"""To how many endpoints each way delivers."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """How much is delivered."""

    events: int
    """Of so many that wait at first; beside trouble, a tenth as many are refused."""
    sessions: int
    rate: int
    """Events a second of the steady part."""
    steady_s: float
    repeats: int


WHOLE = Load(events=10_000, sessions=100, rate=100, steady_s=10.0, repeats=3)
QUICK = Load(events=100, sessions=10, rate=50, steady_s=0.5, repeats=1)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One delivery. Lag is from telling an event to its arrival; None without a steady part."""

    way: str
    events: int
    drained_s: float
    events_per_s: float
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    lags_ms: list[float] = field(repr=False)
    rss_before_bytes: int
    rss_after_bytes: int
    rss_most_bytes: int
    held_most: int
    """Events in the dispatcher's memory, of all endpoints."""
    parked_events: int
    out_of_order: int


@bench(title="How fast do webhooks go out, alone and beside trouble?")
@click.option("--events", default=WHOLE.events, show_default=True, type=click.IntRange(1), help="That wait at first.")
@click.option("--sessions", default=WHOLE.sessions, show_default=True, type=click.IntRange(1), help="That have them.")
@click.option("--rate", default=WHOLE.rate, show_default=True, type=click.IntRange(1), help="Steady events a second.")
@click.option("--steady", "steady_s", default=WHOLE.steady_s, show_default=True, help="Seconds of the steady part.")
@click.option("--repeats", default=WHOLE.repeats, show_default=True, type=click.IntRange(1))
async def main(run: Run, *, events: int, sessions: int, rate: int, steady_s: float, repeats: int) -> Report:
    """Throughput, lag and memory of webhooks."""
    load = Load(events=events, sessions=sessions, rate=rate, steady_s=steady_s, repeats=repeats)
    return await measure(run, QUICK if run.quick else load)


async def measure(run: Run, load: Load) -> Report:
    """Deliver alone and beside trouble, by turns, after a delivery that is not counted."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    warm_up = Load(events=max(1, load.events // 10), sessions=load.sessions, rate=load.rate, steady_s=0, repeats=1)
    total = warm_up.events + len(_WAYS) * load.repeats * (load.events + round(load.rate * load.steady_s))
    deliveries = []
    with redis_server() as redis_url, run.progress("delivering events", total) as advance:
        await _deliver(redis_url, warm_up, None, ALONE, advance)
        for _ in range(load.repeats):
            deliveries.append(await _deliver(redis_url, load, None, ALONE, advance))
            more = run.work / "hooks.toml"
            deliveries.append(await _deliver(redis_url, load, more, BESIDE, advance))
    return _report(load, deliveries)


@contextlib.contextmanager
def _receiver() -> Iterator[str]:
    with running([sys.executable, "-m", "bench.receiver"], ready=r"http://\S+") as found:
        yield found[0]


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


class _Arrivals:
    """What the receiver says."""

    def __init__(self, client: httpx.AsyncClient, advance: Advance) -> None:
        self._client = client
        self._advance = advance
        self._taken = 0
        self.out_of_order = 0

    async def until(self, count: int) -> list[float]:
        """Wait until so many events were taken in all; return the lags of the new ones in seconds."""
        lags_s: list[float] = []
        deadline_mono_s = time.monotonic() + _LIMIT_S
        while self._taken < count:
            if time.monotonic() > deadline_mono_s:
                raise click.ClickException(f"only {self._taken} of {count} events arrived in {_LIMIT_S:g} s")
            await asyncio.sleep(0.05)
            report = (await self._client.get("/report")).json()
            self._advance(report["taken"] - self._taken)
            self._taken, self.out_of_order = report["taken"], report["out_of_order"]
            lags_s += report["lags_s"]
        return lags_s


async def _deliver(redis_url: str, load: Load, more: Path | None, way: str, advance: Advance) -> Delivery:
    """Deliver once. Trouble comes from `more`, the file of further endpoints, and from a session that is refused."""
    async with contextlib.AsyncExitStack() as stack:
        url = stack.enter_context(_receiver())
        link = await stack.enter_async_context(RedisLink(RedisSettings(REDIS_URL=SecretStr(redis_url))))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False, timeout=60))
        await link.text.flushdb()
        if more is not None:
            more.touch(mode=0o600)
            more.write_text(f"[[endpoint]]\nname = 'slow'\nurl = '{url}/slow'\nsecret = '{_KEY}'\n")
        stream, arrivals = EventStream(link), _Arrivals(client, advance)
        await _publish_all(stream, load, refused=more is not None)
        rss_before, began_mono_s = _rss_bytes(), time.monotonic()
        async with _delivering(link, url, more) as (outbox, watch):
            await arrivals.until(load.events)
            drained_s = time.monotonic() - began_mono_s
            steady = await _publish_steadily(stream, load)
            lags_ms = [lag_s * 1000 for lag_s in await arrivals.until(load.events + steady)]
            parked = (await outbox.counts()).endpoints["laravel"].parked_events
            return Delivery(
                way=way,
                events=load.events,
                drained_s=round(drained_s, 2),
                events_per_s=round(load.events / drained_s, 1),
                lag_p50_ms=round(percentile(lags_ms, 0.5), 1) if lags_ms else None,
                lag_p99_ms=round(percentile(lags_ms, 0.99), 1) if lags_ms else None,
                lags_ms=lags_ms,
                rss_before_bytes=rss_before,
                rss_after_bytes=_rss_bytes(),
                rss_most_bytes=watch.rss_bytes,
                held_most=watch.held,
                parked_events=parked,
                out_of_order=arrivals.out_of_order,
            )


async def _publish_all(stream: EventStream, load: Load, *, refused: bool) -> None:
    for n in range(load.events):
        await stream.publish(_event(f"session-{n % load.sessions}", n))
        if refused and n % _REFUSED_EVERY == 0:
            await stream.publish(_event(DEAD, n))


async def _publish_steadily(stream: EventStream, load: Load) -> int:
    count, began_mono_s = round(load.rate * load.steady_s), time.monotonic()
    for n in range(count):
        await asyncio.sleep(max(0.0, began_mono_s + n / load.rate - time.monotonic()))
        await stream.publish(_event(f"session-{n % load.sessions}", load.events + n))
    return count


def _report(load: Load, deliveries: list[Delivery]) -> Report:
    ways = {way: [one for one in deliveries if one.way == way] for way in _WAYS}
    rates = {way: Spread.of(one.events_per_s for one in of) for way, of in ways.items()}
    runs = [{name: value for name, value in asdict(one).items() if name != "lags_ms"} for one in deliveries]
    return Report(
        headlines=[
            f"webhooks: {rates[ALONE].text('.0f')} events/s alone, {rates[BESIDE].text('.0f')} beside a session "
            f"that is refused and an endpoint that takes {SLOW_S:g} s an answer"
        ],
        tables=[_table(load, ways, rates)],
        data={
            "load": asdict(load),
            "events_per_s": {way: asdict(rate) for way, rate in rates.items()},
            "runs": runs,
        },
        charts=_charts(load, ways),
        targets=_targets(ways),
    )


def _table(load: Load, ways: dict[str, list[Delivery]], rates: dict[str, Spread]) -> Table:
    rows = [
        ("delivered in, s", *(Spread.of(one.drained_s for one in of).text() for of in ways.values())),
        ("events a second", *(rate.text(".0f") for rate in rates.values())),
        (f"lag p50 at {load.rate} a second, ms", *(_lag([one.lag_p50_ms for one in of]) for of in ways.values())),
        (f"lag p99 at {load.rate} a second, ms", *(_lag([one.lag_p99_ms for one in of]) for of in ways.values())),
        ("memory before, MB", *(_megabytes([one.rss_before_bytes for one in of]) for of in ways.values())),
        ("memory after, MB", *(_megabytes([one.rss_after_bytes for one in of]) for of in ways.values())),
        ("memory at most, MB", *(_megabytes([one.rss_most_bytes for one in of]) for of in ways.values())),
        ("events in memory, most", *(str(max(one.held_most for one in of)) for of in ways.values())),
        ("events parked in the end", *(str(max(one.parked_events for one in of)) for of in ways.values())),
        ("out of order", *(str(sum(one.out_of_order for one in of)) for of in ways.values())),
    ]
    return Table(
        title=f"webhooks: {load.events:,} events of {load.sessions} sessions that wait",
        columns=("", *ways),
        rows=rows,
        caption=f"medians and ranges of {load.repeats}; memory is of the process that delivers",
    )


def _lag(found_ms: Sequence[float | None]) -> str:
    lags_ms = [lag_ms for lag_ms in found_ms if lag_ms is not None]
    return Spread.of(lags_ms).text() if lags_ms else ""


def _megabytes(found_bytes: Sequence[int]) -> str:
    return Spread.of(size / 1e6 for size in found_bytes).text()


def _charts(load: Load, ways: dict[str, list[Delivery]]) -> list[Chart]:
    charts = [
        Chart(
            title=f"delivering {load.events:,} events that wait",
            x_label="",
            y_label="events a second",
            kind="bars",
            series={
                f"run {number + 1}": [(way, of[number].events_per_s) for way, of in ways.items()]
                for number in range(load.repeats)
            },
        )
    ]
    lags_ms = {way: [lag for one in of for lag in one.lags_ms] for way, of in ways.items()}
    if all(lags_ms.values()):
        charts.append(
            Chart(
                title=f"from telling to arrival at {load.rate} events a second",
                x_label="percent of the events",
                y_label="ms at most",
                series={way: distribution(lags) for way, lags in lags_ms.items()},
            )
        )
    return charts


def _targets(ways: dict[str, list[Delivery]]) -> list[Target]:
    out_of_order = sum(one.out_of_order for of in ways.values() for one in of)
    held = max(one.held_most / _WAYS[way] for way, of in ways.items() for one in of)
    return [
        Target(what="webhooks out of order", wanted="0", found=str(out_of_order), met=out_of_order == 0, must=True),
        Target(
            what="events in memory for each endpoint",
            wanted=f"<= {_HELD_BOUND}",
            found=f"{held:.0f}",
            met=held <= _HELD_BOUND,
        ),
    ]


if __name__ == "__main__":
    main()
