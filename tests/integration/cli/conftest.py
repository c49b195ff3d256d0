"""The command line on a real Redis and a bucket, with archives made for the test; and on a real coordinator app.

No browser.
"""

import asyncio
import os
import signal
import sys
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import redis
from click.testing import CliRunner, Result

from daemon.cli.root import main
from daemon.core.settings import Settings
from daemon.objectstore.catalogue import ArchiveFacts, ArchiveRef, Catalogue
from daemon.objectstore.config import StoreTimeouts
from daemon.objectstore.facts import ObjectFacts
from daemon.objectstore.store import ObjectStore
from daemon.registry.registry import Registry
from shards.archive.keyring import Keyring
from shards.archive.manifest import Manifest
from shards.archive.pack import ManifestFacts, Packed, describe, pack
from shards.cli import parts
from tests.integration.api.conftest import TOKEN, AnsweringShard, serving, settings_for
from tests.servers.s3 import S3Server
from tests.unit.profile.leveldb_files import edit, log_file

ROOT = Path(__file__).parents[3]
Begin = Callable[..., Awaitable[asyncio.subprocess.Process]]
Blazz = Callable[..., Awaitable[tuple[int, str, str]]]

_DATABASE = "Default/IndexedDB/http_x_0.indexeddb.leveldb"
FILES = {
    f"{_DATABASE}/000005.log": log_file([b"one", os.urandom(3000)]),
    f"{_DATABASE}/CURRENT": b"MANIFEST-000001\n",
    f"{_DATABASE}/MANIFEST-000001": log_file([edit(log=5, comparator=b"idb_cmp1")]),
}
"""A database that Chromium would open."""


@dataclass(kw_only=True)
class Bench:
    """One command line, and the stores that it works on."""

    home: Path
    store: ObjectStore
    environment: dict[str, str]

    def blazz(self, *arguments: str, **settings: str) -> Result:
        """Run a command."""
        return CliRunner(env={**self.environment, **settings}).invoke(main, arguments)

    def pack(self, session_id: str, order: tuple[int, int], keys: Mapping[str, bytes], name: str = "archive") -> Packed:
        """Make an archive at `home/name`."""
        files = self.home / f"{name}.files"
        for path, content in FILES.items():
            (files / path).parent.mkdir(parents=True, exist_ok=True)
            (files / path).write_bytes(content)
        return pack(files, self.manifest(session_id, order, files), self.home / name, keyring=Keyring(keys))

    def manifest(self, session_id: str, order: tuple[int, int], files: Path) -> Manifest:
        """Describe a directory as a session's copy."""
        facts = ManifestFacts(
            session_id=session_id,
            workspace_id="1",
            user_id="u",
            token=order[0],
            generation=order[1],
            created_at=datetime(2026, 1, 2, tzinfo=UTC),
            chromium="156.0.1",
            clean=True,
        )
        return describe(files, facts)

    def put(self, session_id: str, order: tuple[int, int], keys: Mapping[str, bytes] | None = None) -> ArchiveRef:
        """Store an archive in the bucket."""
        name = f"{session_id}-{order}"
        packed = self.pack(session_id, order, keys or {}, name)
        m = packed.manifest
        facts = ArchiveFacts(
            session_id=session_id,
            workspace_id="1",
            user_id="u",
            token=m.token,
            generation=m.generation,
            backed_up_at=m.created_at,
            sha256=packed.sha256,
            clean=True,
            chromium=m.chromium,
            key_id=packed.key_id,
        )
        return Catalogue(self.store, StoreTimeouts().transfer_limit_s).store(facts, self.home / name, md5=packed.md5)

    def put_object(self, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> None:
        """Store any bytes under any name."""
        headers = {f"x-amz-meta-{name}": value for name, value in (metadata or {}).items()}
        self.store._client._put_object(self.store.bucket, key, body, headers)

    def objects(self, prefix: str = "") -> list[ObjectFacts]:
        """Return what is stored."""
        return self.store.list(prefix)


def legacy_zip(path: Path, files: Mapping[str, bytes] = FILES) -> bytes:
    """Return a zip as RemoteAuth makes it, without the directories' own entries."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path.read_bytes()


@pytest.fixture
def bench(s3: S3Server, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An empty installation: nothing in Redis, nothing in the bucket."""
    monkeypatch.chdir(tmp_path)
    # Logging is of the whole process, which goes on after the command here.
    monkeypatch.setattr(parts, "configure_logs", lambda *_, **__: None)
    store = ObjectStore(replace(s3.config(), timeouts=StoreTimeouts(tries=0)))
    for item in store.list(""):
        store.delete(item.key)
    redis.Redis.from_url(redis_url).flushall()
    environment = {
        "DATA_ROOT": str(tmp_path / "var"),
        "REDIS_URL": redis_url,
        "API_TOKEN": "test-token-of-many-characters",
        "LEASE_TTL_MS": "6000",
        "LEASE_RENEW_INTERVAL_MS": "1000",
        "LEASE_MARGIN_MS": "1000",
        "REDIS_TIMEOUT_MS": "1000",
        "COLUMNS": "200",
        **s3.environment(),
    }
    return Bench(home=tmp_path, store=store, environment=environment)


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """Of a coordinator without a bucket."""
    return settings_for(redis_url)


@pytest.fixture
async def registry(settings: Settings) -> AsyncIterator[Registry]:
    """An empty registry."""
    opened = Registry(settings)
    await opened.link.text.flushdb()
    yield opened
    await opened.close()


@pytest.fixture
async def api(registry: Registry, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API over this registry."""
    async with serving(registry, settings) as client:
        yield client


@pytest.fixture
async def shard(registry: Registry) -> AsyncIterator[AnsweringShard]:
    """A living shard."""
    answering = AnsweringShard(registry)
    await answering.beat()
    running = asyncio.create_task(answering.run())
    yield answering
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def _heed_interrupts() -> None:
    """As at a terminal: tests that run in a shell's background inherit that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
async def begin(api: httpx.AsyncClient, tmp_path: Path) -> AsyncIterator[Begin]:
    """Begin a command as a process of its own; its standard error goes to `stderr` in the test's directory."""
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "BLAZZ_TOKEN": TOKEN, "BLAZZ_URL": str(api.base_url),
    }  # fmt: skip
    begun: list[asyncio.subprocess.Process] = []

    async def run(*words: str, stderr: int | None = None, **more: str) -> asyncio.subprocess.Process:
        with (tmp_path / "stderr").open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "daemon.cli", *words, cwd=tmp_path, env=environment | more,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr or file,
                preexec_fn=_heed_interrupts,
            )  # fmt: skip
        begun.append(process)
        return process

    yield run
    for process in begun:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def blazz(begin: Begin, tmp_path: Path) -> Blazz:
    """Run a command; give its exit code, standard output and standard error."""

    async def run(*words: str, stdin: bytes = b"", **more: str) -> tuple[int, str, str]:
        process = await begin(*words, **more)
        out, _ = await asyncio.wait_for(process.communicate(stdin), 60)
        err = (tmp_path / "stderr").read_text()
        assert process.returncode is not None
        assert "Traceback" not in err
        return process.returncode, out.decode(), err

    return run
