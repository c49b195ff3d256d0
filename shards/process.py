"""One shard process: everything it owns, under one task group, until told to stop.

Order of the end: no new work, sessions closed with their last backups, commands answered, leases given back, farewell.
"""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from daemon.core.files import private_directory
from daemon.core.logs import bind_ids
from daemon.core.settings import Settings
from daemon.core.signals import stop_on_signals
from daemon.objectstore.archives import Archives
from daemon.objectstore.config import object_store_config
from daemon.registry.registry import Registry
from shards.admission.start import starts_of
from shards.archive.keyring import keyring_of
from shards.archive.unpack import UnpackLimits
from shards.browser.orphans import sweep_orphans
from shards.commanding import Commanding
from shards.context import ShardContext
from shards.guard.link import Guard
from shards.heartbeat import HeartbeatLoop
from shards.identity import ShardIdentity
from shards.intake import Intake
from shards.journal import Journals
from shards.leases import LeaseKeeper
from shards.leftovers import Leftovers
from shards.profile.layout import ShardLayout
from shards.runner.chromium import chromium_engine
from shards.runner.engine import EngineParts, MakeEngine
from shards.twins import refuse_twin
from shards.unsaved import Unsaved

log = structlog.get_logger()

_THREADS = 4
_STORE_THREADS = 8
_PARALLEL_BACKUPS = 4
_FINISH_COMMANDS_S = 5.0


class ShardProcess:
    """Everything that one shard owns."""

    def __init__(
        self, settings: Settings, identity: ShardIdentity, *, make_engine: MakeEngine = chromium_engine
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._make_engine = make_engine
        self._guarding: Guard | None = None
        self._stop = asyncio.Event()
        self._leaving = asyncio.Event()
        self._registry = Registry(settings)
        self._starts = starts_of(settings)
        # Two pools: an object store that hangs must not keep sessions from their disk.
        self._executor = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="disk")
        self._store_executor = ThreadPoolExecutor(max_workers=_STORE_THREADS, thread_name_prefix="objectstore")

    async def run(self) -> None:
        """Run sessions until SIGTERM or SIGINT.

        Raises:
            SettingsError: there is no Chromium at CHROMIUM_PATH.
            BrowserError: the Chromium there does not tell its version.
            FatalError: the wa-js bundle is missing or not the pinned one.
        """
        stop_on_signals(self._stop)
        bind_ids(shard=self._identity.name)
        await refuse_twin(self._registry.shards, self._identity)
        shard = await self._context()
        intake = Intake(shard)
        unsaved = Unsaved(shard, intake)
        commanding = Commanding(self._registry.commands, intake, unsaved, shard=self._identity.name)
        heartbeat = HeartbeatLoop(
            self._registry.shards,
            self._identity,
            self._settings.shard,
            self._starts,
            count_sessions=lambda: intake.running,
        )
        log.info("shard started", incarnation=self._identity.incarnation, chromium=shard.chromium)
        try:
            async with asyncio.TaskGroup() as tasks:
                # Leases and heartbeat go on while sessions are being closed.
                tasks.create_task(shard.keeper.run(self._leaving))
                tasks.create_task(self._starts.loop_lag.run(self._leaving))
                tasks.create_task(heartbeat.run(self._leaving))
                tasks.create_task(intake.run(self._stop))
                tasks.create_task(commanding.run(self._stop))
                tasks.create_task(Leftovers(shard, intake).run(self._stop))
                tasks.create_task(unsaved.run(self._stop))
                tasks.create_task(shard.journals.run(self._stop))
                tasks.create_task(self._end(intake, commanding, heartbeat))
            await heartbeat.farewell()
        finally:
            if self._guarding is not None:
                await self._guarding.close()
            await self._registry.close()
            with contextlib.suppress(OSError):
                shard.layout.browser_tmp_dir.rmdir()
            for executor in (self._executor, self._store_executor):
                executor.shutdown(wait=False, cancel_futures=True)
        log.info("shard stopped")

    async def _context(self) -> ShardContext:
        layout = ShardLayout(self._settings.paths.profile_root, self._identity.name)
        notes_dir = private_directory(self._settings.paths.run_dir / f"{self._identity.name}.chromium")
        # First the browsers, then the files they may still have open.
        killed = sweep_orphans(notes_dir)
        if killed:
            log.warning("ended Chromium processes of an earlier process of this shard", groups=len(killed))
        layout.sweep()
        parts = EngineParts(settings=self._settings, layout=layout, notes_dir=notes_dir, executor=self._executor)
        return ShardContext(
            settings=self._settings,
            identity=self._identity,
            registry=self._registry,
            archives=Archives(object_store_config(self._settings.object_store), self._store_executor),
            keeper=LeaseKeeper(
                self._registry.leases,
                renew_interval_s=self._settings.shard.lease_renew_interval_ms / 1000,
                margin_s=self._settings.shard.lease_margin_ms / 1000,
                guard=self._guard(layout, notes_dir),
            ),
            layout=layout,
            notes_dir=notes_dir,
            journals=Journals(self._settings.paths.run_dir / "untold", self._registry.events),
            engine=await self._make_engine(parts),
            keyring=keyring_of(self._settings.archive),
            limits=UnpackLimits(max_total_bytes=self._settings.archive.max_unpacked_bytes),
            executor=self._executor,
            admission=self._starts.admission,
            backup_slots=asyncio.Semaphore(_PARALLEL_BACKUPS),
        )

    def _guard(self, layout: ShardLayout, notes_dir: Path) -> Guard:
        self._guarding = Guard(
            shard=self._identity.name,
            notes_dir=notes_dir,
            sessions_dir=layout.sessions_dir,
            lock=self._identity.lock_path,
        )
        self._guarding.start()
        return self._guarding

    async def _end(self, intake: Intake, commanding: Commanding, heartbeat: HeartbeatLoop) -> None:
        await self._stop.wait()
        heartbeat.tell_stopping()
        await intake.drain(timeout_s=self._settings.shard.shutdown_timeout_ms / 1000)
        await commanding.finish(timeout_s=_FINISH_COMMANDS_S)
        self._leaving.set()
