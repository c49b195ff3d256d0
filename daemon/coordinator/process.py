"""One coordinator process: HTTP, reconcile loop, retention and webhooks under one task group, until told to stop."""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog
import uvicorn
from fastapi import FastAPI

from daemon.api.app import build_app
from daemon.api.ports import Parts
from daemon.coordinator.copies import StoredCopies
from daemon.coordinator.directory import Directory
from daemon.coordinator.feed import Feed
from daemon.coordinator.health import Health
from daemon.coordinator.jobs import RestoreDesk, RestoreWork
from daemon.coordinator.leader import Leadership
from daemon.coordinator.listening import listen
from daemon.coordinator.lost import LostSessions
from daemon.coordinator.marking import MarkKeeper
from daemon.coordinator.placer import Placer
from daemon.coordinator.reconcile import Reconciler
from daemon.coordinator.recovery import Recovery
from daemon.coordinator.retention import Retention
from daemon.coordinator.sweeping import Sweeping
from daemon.coordinator.tokens import TokenDesk, TokenKeeper
from daemon.coordinator.waking import Waking
from daemon.core.loops import run_every
from daemon.core.settings import Settings
from daemon.core.signals import stop_on_signals
from daemon.objectstore.archives import Archives
from daemon.objectstore.census import CENSUS_PARALLEL
from daemon.objectstore.config import object_store_config
from daemon.platform.database import PlatformDatabase
from daemon.registry.registry import Registry
from daemon.webhooks.configured import Configured
from daemon.webhooks.desk import WebhookDesk
from daemon.webhooks.dispatcher import WebhookDispatcher

log = structlog.get_logger()

_RETENTION_LOOK_S = 60.0
_SWEEP_LOOK_S = 60.0
_MARKS_LOOK_S = 5.0
_RECOVERY_LOOK_S = 2.0
_JOBS_LOOK_S = 1.0
_TOKENS_LOOK_S = 2.0
_HTTP_SHUTDOWN_S = 10


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the process stops as one."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Coordinator:
    """Everything a coordinator owns."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._endpoints = Configured(settings.webhook)
        self._who = f"{socket.gethostname()}-{os.getpid()}"
        self._registry = Registry(settings)
        self._executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="objectstore")
        self._archives = Archives(object_store_config(settings.object_store), self._executor)
        # Random, because containers may have the same host name and process number.
        self._leadership = Leadership(self._registry, f"{self._who}-{secrets.token_hex(4)}")
        self._placer = Placer(self._registry)
        # Of its own: a census waits for thousands of answers, and must not keep health checks and marks waiting.
        self._searchers = ThreadPoolExecutor(max_workers=CENSUS_PARALLEL, thread_name_prefix="census")
        searched = replace(object_store_config(settings.object_store), connections=CENSUS_PARALLEL)
        self._lost = LostSessions(
            self._registry, Archives(searched, self._searchers), legacy_prefix=settings.archive.legacy_prefix
        )
        self._platform = PlatformDatabase(settings.platform, self._searchers) if settings.platform.configured else None
        self._stop = asyncio.Event()
        self._feed = Feed(self._registry.event_log, self._stop, followers_max=settings.coordinator.event_followers_max)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            CannotListenError: the port is taken or the address is not ours.
        """
        stop_on_signals(self._stop)
        listener = listen(self._settings.coordinator.host, self._settings.coordinator.port)
        marks = MarkKeeper(self._registry, self._archives, self._leadership, self._stop)
        reconciler = Reconciler(self._registry, self._leadership, self._settings, seen=marks.see)
        waking = Waking(self._registry.wakes, self._leadership, reconciler.hurry)
        retention = Retention(self._registry, self._archives, self._leadership, self._settings, self._stop)
        sweeping = Sweeping(self._registry, self._leadership, self._stop)
        look_s = min(_RETENTION_LOOK_S, self._settings.archive.retention_interval_ms / 1000)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._serve(listener), name="http")
                tasks.create_task(
                    run_every(
                        self._settings.coordinator.reconcile_interval_ms / 1000,
                        reconciler.cycle,
                        name="reconcile",
                        stop=self._stop,
                        wake=reconciler.wake,
                    )
                )
                tasks.create_task(waking.run(self._stop), name="wakes")
                tasks.create_task(run_every(_MARKS_LOOK_S, marks.cycle, name="marks", stop=self._stop, wake=marks.wake))
                tasks.create_task(run_every(look_s, retention.cycle, name="retention", stop=self._stop))
                tasks.create_task(run_every(_SWEEP_LOOK_S, sweeping.cycle, name="sweeping", stop=self._stop))
                tasks.create_task(run_every(_RECOVERY_LOOK_S, self._recovery().cycle, name="recovery", stop=self._stop))
                tasks.create_task(
                    run_every(_JOBS_LOOK_S, self._restore_work().cycle, name="restore jobs", stop=self._stop)
                )
                tokens = TokenKeeper(self._registry, self._archives, self._leadership)
                tasks.create_task(run_every(_TOKENS_LOOK_S, tokens.cycle, name="tokens", stop=self._stop))
                tasks.create_task(self._feed.run(), name="event feed")
                tasks.create_task(self._deliver(), name="webhooks")
            await self._leadership.give_up()
        finally:
            await self._registry.close()
            for executor in (self._executor, self._searchers):
                executor.shutdown(wait=False, cancel_futures=True)
        log.info("coordinator stopped")

    async def _deliver(self) -> None:
        """Deliver events while this coordinator leads: one deliverer keeps the order of each session."""
        while not self._stop.is_set():
            await self._leadership.wait(leading=True, stop=self._stop)
            if self._stop.is_set():
                return
            webhooks = WebhookDispatcher(
                self._registry.outbox, self._registry.parked, self._settings.webhook, self._endpoints
            )
            ending = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(webhooks.run(ending))
                await self._leadership.wait(leading=False, stop=self._stop)
                ending.set()

    def _restore_work(self) -> RestoreWork:
        return RestoreWork(self._registry, self._lost, self._platform, self._leadership)

    def _recovery(self) -> Recovery:
        return Recovery(self._registry, self._lost, self._platform, self._leadership, self._settings, self._stop)

    def _app(self) -> FastAPI:
        health = Health(self._registry, self._archives)
        directory = Directory(
            self._registry,
            self._placer,
            health,
            self._settings.send,
            command_timeout_s=self._settings.coordinator.command_timeout_ms / 1000,
        )
        restores = RestoreDesk(self._registry, has_platform=self._platform is not None)
        desk = WebhookDesk(
            self._registry.outbox,
            self._registry.dead_letters,
            self._endpoints,
            timeout_s=self._settings.webhook.timeout_s,
        )
        tokens = TokenDesk(self._registry, self._archives)
        copies = StoredCopies(
            self._registry, self._placer, self._archives, legacy_prefix=self._settings.archive.legacy_prefix
        )
        parts = Parts(
            directory=directory, restores=restores, copies=copies, tokens=tokens, webhooks=desk, feed=self._feed
        )
        return build_app(parts, self._settings.coordinator, self._settings.send)

    async def _serve(self, listener: socket.socket) -> None:
        config = uvicorn.Config(
            self._app(),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who asks is who connects: anybody may write X-Forwarded-For
            timeout_graceful_shutdown=_HTTP_SHUTDOWN_S,
            lifespan="off",
            ws="none",
        )
        server = _Server(config)
        host, port = listener.getsockname()[:2]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]))
            log.info("coordinator listens", host=host, port=port, coordinator=self._who)
            await self._stop.wait()
            server.should_exit = True
