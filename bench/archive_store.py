"""The steps of a copy with an S3 server in them, and that server's own limit. For `bench.archive`."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import urllib3

from bench.archive_steps import CHROMIUM, TOKEN, Pace, Paces, Sessions, session_id
from daemon.core.clock import utc_now
from daemon.core.settings import SECTIONS, Settings
from daemon.objectstore.archives import Archives
from daemon.objectstore.catalogue import ArchiveFacts, ArchiveRef
from daemon.objectstore.client import make_client
from daemon.registry.registry import Registry
from daemon.sessions.record import SessionRecord
from shards import process
from shards.archive.bounds import Expected, UnpackLimits
from shards.archive.keyring import Keyring
from shards.archive.pack import Packed
from shards.archive.unpack import unpack
from shards.profile.layout import ShardLayout
from shards.restore.plan import Place
from shards.restore.restorer import Restorer
from tests.servers.s3 import S3Server

STORE_THREADS: int = process._STORE_THREADS
"""As many as a shard has for its object store."""
UPLOAD, DOWNLOAD, RESTORE, PUT, GET = "upload", "download", "restore", "put", "get"
UNPACKED = "download, verify, unpack"
ALONE = "server alone"


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What of a shard's context (`shards.context`) a restore uses; the rest of it is for running sessions."""

    settings: Settings
    registry: Registry
    archives: Archives
    layout: ShardLayout
    keyring: Keyring
    limits: UnpackLimits
    executor: ThreadPoolExecutor
    chromium: str = CHROMIUM


@contextlib.asynccontextmanager
async def shard_on(store: S3Server, redis_url: str, root: Path, keyring: Keyring) -> AsyncIterator[Shard]:
    """Make the parts of a shard with its profiles below `root`."""
    given: dict[str, dict[str, Any]] = {
        "paths": {"PROFILE_ROOT": root, "MIN_FREE_BYTES": 0}, "redis": {"REDIS_URL": redis_url}
    }  # fmt: skip
    settings = Settings(**{name: kind.model_validate(given.get(name, {})) for name, kind in SECTIONS.items()})
    registry, layout = Registry(settings), ShardLayout(root, "shard_00")
    with ThreadPoolExecutor(process._THREADS) as disk, ThreadPoolExecutor(STORE_THREADS) as store_threads:
        try:
            yield Shard(
                settings=settings, registry=registry, archives=Archives(store.config(), store_threads), layout=layout,
                keyring=keyring, limits=UnpackLimits(), executor=disk,
            )  # fmt: skip
        finally:
            await registry.close()
            layout.browser_tmp_dir.rmdir()


async def store_paces(sessions: Sessions, shard: Shard, way: str, repeats: int, *, above: int) -> list[Pace]:
    """Measure upload, download, download with unpacking, and whole restores, as fast as the shard's threads take them.

    A restore also asks Redis for a hot copy, lists the session's archives and looks the unpacked files through, as
    before a start. The archives get the generations from `above` + 1 on, as none can be stored twice.
    """
    paces = Paces(way)
    for number in range(repeats + 1):
        paces.warm = number > 0
        await _round(sessions, shard, paces, above + 1 + number)
    return paces.found


async def _round(sessions: Sessions, shard: Shard, paces: Paces, generation: int) -> None:
    archives, downloads = sessions.room("archives"), sessions.room("downloads")
    packed = _pack_all(sessions, archives, generation, shard.keyring)
    unpacked = sessions.room("restored")
    refs: dict[int, ArchiveRef] = {}

    async def upload(number: int) -> None:
        facts = _facts(number, generation, packed[number])
        refs[number] = await shard.archives.store(facts, archives / str(number), md5=packed[number].md5)

    async def download(number: int) -> None:
        await shard.archives.fetch(refs[number], downloads / str(number))

    async def download_and_unpack(number: int) -> None:
        archive, into = downloads / f"{number}.zip", unpacked / str(number)
        await shard.archives.fetch(refs[number], archive)
        work = partial(
            unpack, archive, into, limits=shard.limits, keyring=shard.keyring, work_dir=downloads,
            expected=Expected(session_id=session_id(number), order=(TOKEN, generation), max_chromium=CHROMIUM),
        )  # fmt: skip
        await asyncio.get_running_loop().run_in_executor(shard.executor, work)

    async def restore(number: int) -> None:
        restorer = Restorer(shard, _record(number))  # type: ignore[arg-type]  # see `Shard`
        restored = await restorer.restore(shard.layout.profile_dir(session_id(number)))
        assert (restored.source, restored.order) == (Place.R2, (TOKEN, generation)), restored

    await _at_once(paces, UPLOAD, sessions.count, upload)
    await _at_once(paces, DOWNLOAD, sessions.count, download)
    await _at_once(paces, UNPACKED, sessions.count, download_and_unpack)
    await _at_once(paces, RESTORE, sessions.count, restore)
    for number in range(sessions.count):
        shard.layout.remove_profile(session_id(number))


def _pack_all(sessions: Sessions, archives: Path, generation: int, keyring: Keyring) -> list[Packed]:
    snapshots = sessions.room("snapshots")
    for number in range(sessions.count):
        sessions.snapshot(number, snapshots)
    return [sessions.packed(number, snapshots, archives, generation, keyring) for number in range(sessions.count)]


async def _at_once(paces: Paces, step: str, count: int, work: Callable[[int], Awaitable[None]]) -> None:
    began, began_cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work(number) for number in range(count)))
    paces.add(
        step, STORE_THREADS, count, wall_s=time.perf_counter() - began, cpu_s=time.process_time() - began_cpu
    )  # fmt: skip


def _facts(number: int, generation: int, packed: Packed) -> ArchiveFacts:
    manifest = packed.manifest
    return ArchiveFacts(
        session_id=session_id(number), workspace_id=manifest.workspace_id, user_id=manifest.user_id, token=TOKEN,
        generation=generation, backed_up_at=manifest.created_at, sha256=packed.sha256, clean=manifest.clean,
        chromium=manifest.chromium, key_id=packed.key_id,
    )  # fmt: skip


def _record(number: int) -> SessionRecord:
    now = utc_now()
    return SessionRecord(
        session_id=session_id(number), workspace_id="w", user_id="u", created_at=now, status_at=now, token=TOKEN,
        paired=True,
    )  # fmt: skip


def limit_paces(store: S3Server, bodies: Sequence[bytes], repeats: int) -> list[Pace]:
    """Measure what the server does by itself: addresses are signed before, nothing is checked, nothing is written."""
    client, paces = make_client(store.config()), Paces(ALONE)
    pool = urllib3.PoolManager(maxsize=STORE_THREADS, block=True, retries=False)
    for number in range(repeats + 1):
        paces.warm = number > 0
        keys = [f"limit/{number}/{index}" for index in range(len(bodies))]
        puts = [client.presigned_put_object(store.bucket, key, timedelta(hours=1)) for key in keys]
        gets = [client.presigned_get_object(store.bucket, key, timedelta(hours=1)) for key in keys]

        def put(index: int, to: Sequence[str]) -> None:
            assert pool.request("PUT", to[index], body=bodies[index]).status == 200

        def get(index: int, of: Sequence[str]) -> None:
            assert len(pool.request("GET", of[index]).data) == len(bodies[index])

        paces.each(PUT, len(bodies), STORE_THREADS, partial(put, to=puts))
        paces.each(GET, len(bodies), STORE_THREADS, partial(get, of=gets))
    pool.clear()
    return paces.found
