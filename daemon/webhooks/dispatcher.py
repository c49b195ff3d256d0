"""Delivering events to all endpoints while this coordinator leads: starts and ends deliveries, and keeps the house.

Once a second: endpoints as they are configured now, pauses, what is said of each endpoint, trimming of the stream, and
endpoints that are configured no more.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from daemon.core.clock import iso, utc_now
from daemon.core.loops import run_every
from daemon.core.sections import WebhookSettings
from daemon.registry.outbox import EndpointCounts, Outbox
from daemon.registry.parked import Parked
from daemon.webhooks.configured import Configured, EndpointConfig
from daemon.webhooks.delivery import HELD_MAX, Delivery
from daemon.webhooks.gate import GONE_MAX
from daemon.webhooks.schedule import DEFAULT_SCHEDULE, RetrySchedule

log = structlog.get_logger()

GONE_GRACE_MS = 24 * 3600 * 1000
"""How long an endpoint that is configured no more still holds what it has not got."""

_LOOK_S = 1.0


@dataclass(kw_only=True)
class _Running:
    delivery: Delivery
    stop: asyncio.Event
    task: asyncio.Task[None]


class WebhookDispatcher:
    """Delivers the events of all sessions, in one `run`. Only one may run in an installation at a time."""

    def __init__(
        self,
        outbox: Outbox,
        parked: Parked,
        settings: WebhookSettings,
        configured: Configured,
        *,
        schedule: RetrySchedule = DEFAULT_SCHEDULE,
        held_max: int = HELD_MAX,
        rand: Callable[[], float] = random.random,
        look_s: float = _LOOK_S,
        gone_grace_ms: int = GONE_GRACE_MS,
    ) -> None:
        self._outbox = outbox
        self._parked = parked
        self._settings = settings
        self._configured = configured
        self._schedule = schedule
        self._held_max = held_max
        self._rand = rand
        self._look_s = look_s
        self._gone_grace_ms = gone_grace_ms
        self._running: dict[str, _Running] = {}
        self._lost: dict[str, tuple[int, int]] | None = None

    def held(self) -> int:
        """Return how many events are in memory."""
        return sum(running.delivery.held for running in self._running.values())

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; then let posts in flight end for a few seconds and leave the rest in Redis."""
        async with asyncio.TaskGroup() as tasks:
            await run_every(self._look_s, lambda: self._look(tasks), name="webhooks", stop=stop)
            for running in self._running.values():
                running.stop.set()

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        wanted = {config.name: config for config in self._configured.current()}
        await self._join()
        await self._end_changed(wanted)
        paused = await self._outbox.paused()
        if wanted.keys() - self._running.keys():
            await self._begin_missing(wanted, tasks)
        await self._keep_pauses(paused)
        await self._outbox.keep_time()
        await self._forget_gone(wanted)
        await self._outbox.trim(keep=self._settings.event_log_max)
        counts = await self._outbox.counts()
        self._say_lost(counts.endpoints)
        await self._outbox.say({name: self._facts(running) for name, running in self._running.items()})

    async def _join(self) -> None:
        await self._outbox.join([config.name for config in self._configured.current()])

    async def _begin_missing(self, wanted: Mapping[str, EndpointConfig], tasks: asyncio.TaskGroup) -> None:
        await self._outbox.keep_time()  # so that it is known to the deliveries, whatever becomes of Redis
        said = await self._outbox.said()
        for name, config in wanted.items():
            if name not in self._running:
                known = said.get(name, {})
                since_ms = known.get("failing_since_ms") if known.get("url_digest") == config.url_digest else None
                self._running[name] = self._begin(config, since_ms, tasks)

    def _begin(self, config: EndpointConfig, failing_since_ms: int | None, tasks: asyncio.TaskGroup) -> _Running:
        delivery = Delivery(
            self._outbox,
            self._parked,
            config,
            timeout_s=self._settings.timeout_s,
            retry_for_s=self._settings.retry_for_ms / 1000,
            join=self._join,
            schedule=self._schedule,
            held_max=self._held_max,
            rand=self._rand,
            failing_since_ms=failing_since_ms,
        )
        stop = asyncio.Event()
        return _Running(delivery=delivery, stop=stop, task=tasks.create_task(delivery.run(stop)))

    async def _end_changed(self, wanted: Mapping[str, EndpointConfig]) -> None:
        """End deliveries whose endpoint is gone or different; each has ended before another one may begin."""
        changed = [name for name, one in self._running.items() if wanted.get(name) != one.delivery.config]
        for name in changed:
            self._running[name].stop.set()
        for name in changed:
            await self._running.pop(name).task

    async def _keep_pauses(self, paused: Mapping[str, Mapping[str, Any]]) -> None:
        for name, running in self._running.items():
            delivery, digest = running.delivery, running.delivery.config.url_digest
            noted = paused.get(name)
            if noted is not None and noted.get("url_digest") != digest:
                log.info("webhook endpoint has another address, and is not paused any more", endpoint=name)
                await self._outbox.resume(name)
                noted = None
            if noted is not None:
                delivery.gate.pause()
                # Also when Redis' answer to `pause` was lost: it must not be paused again once somebody resumes it.
                delivery.pause_noted = True
            elif delivery.gate.gone and not delivery.pause_noted:
                reason = f"{GONE_MAX} events in a row were answered with 410 Gone"
                await self._outbox.pause(name, {"reason": reason, "at": iso(utc_now()), "url_digest": digest})
                delivery.pause_noted = True
                log.error(
                    "webhook endpoint paused",
                    endpoint=name,
                    host=delivery.config.host,
                    error=reason,
                    hint=f"blazz webhooks resume {name}",
                )
            else:
                delivery.gate.resume()
                delivery.pause_noted = False

    async def _forget_gone(self, wanted: Mapping[str, EndpointConfig]) -> None:
        gone = [name for name in await self._outbox.endpoints() if name not in wanted]
        if not gone:
            return
        said, now_ms = await self._outbox.said(), await self._outbox.now_ms()
        for name in gone:
            facts = said.get(name, {})
            since_ms = facts.get("gone_since_ms")
            if since_ms is None:
                log.warning(
                    "webhook endpoint is configured no more; what waits for it is kept for a day", endpoint=name
                )
                await self._outbox.say({name: {**facts, "gone_since_ms": now_ms}})
            elif now_ms - since_ms >= self._gone_grace_ms:
                parked = await self._outbox.remove(name)
                log.warning("webhook endpoint forgotten, with what waited for it", endpoint=name, parked_events=parked)

    def _say_lost(self, counts: Mapping[str, EndpointCounts]) -> None:
        """Log what was lost since the last look; at the first look, what was ever lost and nobody may have seen."""
        known = self._lost or {}
        for name, one in counts.items():
            dropped, forgotten = known.get(name, (0, 0))
            if one.dropped > dropped:
                log.error(
                    "webhook events lost: the event stream is full",
                    endpoint=name,
                    events=one.dropped - dropped,
                    hint="EVENTS_MAX is the bound; see why the endpoint takes nothing",
                )
            if one.forgotten > forgotten:
                log.error(
                    "dead letters lost: there are too many",
                    endpoint=name,
                    events=one.forgotten - forgotten,
                    hint="DEAD_LETTERS_MAX is the bound; blazz webhooks redrive sends them again",
                )
        self._lost = {name: (one.dropped, one.forgotten) for name, one in counts.items()}

    def _facts(self, running: _Running) -> dict[str, Any]:
        config, gate = running.delivery.config, running.delivery.gate
        failure = gate.last_failure.failure if gate.failing and gate.last_failure else None
        return {
            "host": config.host,
            "events": _sorted(config.events),
            "workspaces": _sorted(config.workspaces),
            "failing": gate.failing_since_ms is not None,
            "failing_since_ms": gate.failing_since_ms,
            "error": failure,
            "url_digest": config.url_digest,
            "at": iso(utc_now()),
        }


def _sorted(values: frozenset[Any] | None) -> Sequence[str] | None:
    return None if values is None else sorted(str(value) for value in values)
