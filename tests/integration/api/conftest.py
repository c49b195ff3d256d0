"""The API on real uvicorn over the real directory on a real Redis, with a shard that only answers commands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
import uvicorn

from daemon.api.app import build_app
from daemon.api.ports import Parts
from daemon.coordinator.copies import StoredCopies
from daemon.coordinator.directory import Directory
from daemon.coordinator.feed import Feed
from daemon.coordinator.health import Health
from daemon.coordinator.jobs import RestoreDesk
from daemon.coordinator.listening import listen
from daemon.coordinator.placer import Placer
from daemon.coordinator.tokens import TokenDesk
from daemon.core.clock import utc_now
from daemon.core.errors import RedisUnavailableError
from daemon.core.settings import SECTIONS, Settings
from daemon.objectstore.archives import Archives
from daemon.objectstore.config import object_store_config
from daemon.registry.membership import Heartbeat
from daemon.registry.registry import Registry
from daemon.sessions.commands import Command, CommandKind, Outcome, Reply
from daemon.sessions.states import SessionState
from daemon.webhooks.configured import Configured
from daemon.webhooks.desk import WebhookDesk

TOKEN = "a-token-of-the-tests-0123456789"
SHARD = "shard_00"


@dataclass
class AnsweringShard:
    """Takes commands as a shard does, and answers what the test says; None: takes them and never answers."""

    registry: Registry
    reply: Reply | Callable[[Command], Awaitable[Reply]] | None = field(
        default_factory=lambda: Reply(outcome=Outcome.DONE)
    )
    claims: bool = True
    got: list[dict[str, object]] = field(default_factory=list)

    async def beat(self) -> None:
        """Show that it lives, for longer than a test lasts."""
        now = utc_now()
        beat = Heartbeat(
            name=SHARD, host="h", pid=1, incarnation="i", started_at=now, at=now, sessions=0, capacity=9,
            loop_lag_ms=0, rss_bytes=1,
        )  # fmt: skip
        await self.registry.shards.beat(beat, ttl_ms=60_000)

    async def show(self, session_id: str, status: SessionState, *, qr: str | None = None) -> None:
        """Bring a session into a state as its runner would."""
        lease = await self.registry.leases.acquire(session_id, f"{SHARD}|test", floor=0, dead_prefix=SHARD)
        await self.registry.records.write_held(
            session_id, lease.token, {"status": status, "status_at": utc_now(), "token": lease.token}
        )
        if qr:
            await self.registry.codes.show_qr(session_id, lease.token, qr)

    async def run(self) -> None:
        """Take commands until cancelled."""
        await self.registry.commands.join(SHARD)
        while True:
            try:
                taken = await self.registry.commands.take(SHARD, block_ms=100)
            except RedisUnavailableError:
                continue  # a test has it stand still
            for received in taken:
                command = received.command
                if command.kind is CommandKind.WAKE:
                    continue
                self.got.append({"kind": command.kind, "session_id": command.session_id, **command.arguments})
                if self.claims:
                    await self.registry.commands.claim(command, given_at_ms=received.given_at_ms)
                reply = await self.reply(command) if callable(self.reply) else self.reply
                if reply is not None:
                    await self.registry.commands.reply(command.command_id, reply)


def settings_for(redis_url: str) -> Settings:
    """Return settings with this Redis and an object store that is down."""
    values = {
        "redis": {"REDIS_URL": redis_url},
        "object_store": {"R2_ENDPOINT": "http://127.0.0.1:9", "R2_ACCESS_KEY_ID": "k", "R2_SECRET_ACCESS_KEY": "s"},
        "coordinator": {"API_TOKEN": TOKEN, "COMMAND_TIMEOUT_MS": 1000, "MAX_BODY_BYTES": 100_000},
    }
    return Settings(**{name: kind.model_validate(values.get(name, {})) for name, kind in SECTIONS.items()})


@pytest.fixture
async def registry(redis_url: str) -> AsyncIterator[Registry]:
    """An empty registry."""
    opened = Registry(settings_for(redis_url))
    await opened.link.text.flushdb()
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def shard(registry: Registry) -> AsyncIterator[AnsweringShard]:
    """A living shard."""
    answering = AnsweringShard(registry)
    await answering.beat()
    running = asyncio.create_task(answering.run())
    yield answering
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


@asynccontextmanager
async def serving(
    registry: Registry, settings: Settings, *, webhook_desk: WebhookDesk | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a registry over HTTP, and give a client with the token."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        archives = Archives(object_store_config(settings.object_store), executor)
        health = Health(registry, archives)
        configured, stop = Configured(settings.webhook), asyncio.Event()
        parts = Parts(
            directory=Directory(registry, Placer(registry), health, settings.send, command_timeout_s=3.0),
            restores=RestoreDesk(registry, has_platform=False),
            copies=StoredCopies(registry, Placer(registry), archives, legacy_prefix=""),
            tokens=TokenDesk(registry, archives),
            feed=Feed(registry.event_log, stop, followers_max=3),
            webhooks=webhook_desk
            or WebhookDesk(registry.outbox, registry.dead_letters, configured, timeout_s=settings.webhook.timeout_s),
        )
        listener = listen("127.0.0.1", 0)
        config = uvicorn.Config(
            build_app(parts, settings.coordinator, settings.send),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,  # of what a test left waiting
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        feeding = asyncio.create_task(parts.feed.run())  # type: ignore[attr-defined]  # the real one
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        try:
            async with httpx.AsyncClient(base_url=address, headers=headers, trust_env=False, timeout=20) as client:
                yield client
        finally:
            stop.set()
            server.should_exit = True
            await asyncio.gather(task, feeding)


@pytest.fixture
async def api(registry: Registry, redis_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the token, of the API over this registry."""
    async with serving(registry, settings_for(redis_url)) as client:
        yield client
