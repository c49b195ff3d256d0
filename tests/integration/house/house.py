"""A whole installation for tests, without supervisord: coordinator and shards as real processes on real servers.

The test owns every process by its pid and ends it; `phone` plays the phone through the stand-in's control port.
"""

import asyncio
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil
from aiohttp import web
from redis.asyncio import Redis

from daemon.webhooks.signature import verify
from tests.servers.forked import Forked, fork_module
from tests.standin import StandIn

ROOT = Path(__file__).parents[3]
TOKEN = "test-token-of-many-characters"
SECRET = "webhook-secret-of-many-characters"
DEADLINE_S = 30.0
FULL_CHROMIUM = "/usr/lib/chromium/chromium"
"""Always ends by itself when asked, so that what it leaves is complete; headless-shell sometimes traps at its end."""

_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S, _PAUSE_GROWS = 0.05, 0.25, 1.15


async def until(what: str, probe: Callable[[], Awaitable[Any]], *, timeout_s: float = DEADLINE_S) -> Any:
    """Return the first true answer of `probe`; fail with `what` and the last answer when none comes in time."""
    deadline = time.monotonic() + timeout_s
    answer, pause_s = None, _SHORTEST_PAUSE_S
    while time.monotonic() < deadline:
        try:
            answer = await probe()
        except httpx.HTTPStatusError as error:
            if error.response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            answer = None  # on a busy machine Redis' answer may come too late for the coordinator
        if answer:
            return answer
        # A look costs some milliseconds here and in the coordinator, of the processor that others wait for.
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * _PAUSE_GROWS, _LONGEST_PAUSE_S)
    raise AssertionError(f"not in {timeout_s} s: {what}; last answer: {answer!r}")


class Receiver:
    """A webhook receiver that refuses what is not signed."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.refused = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        good = verify(
            SECRET,
            request.headers["X-Webhook-Timestamp"],
            body,
            request.headers["X-Webhook-Signature"],
            now=time.time(),
        )
        if not good:
            self.refused += 1
            return web.Response(status=401)
        self.events.append(await request.json())
        return web.Response(status=204)

    def kinds(self, session_id: str) -> list[str]:
        """Return the kinds of a session's events in the order in which they arrived."""
        return [event["event"] for event in self.events if event["session_id"] == session_id]

    def of(self, session_id: str, kind: str) -> list[dict[str, Any]]:
        """Return a session's events of one kind."""
        return [e for e in self.events if e["session_id"] == session_id and e["event"] == kind]


@dataclass(frozen=True, kw_only=True)
class Said:
    """How a command ended."""

    code: int
    output: str


class House:
    """Coordinator, shards, stand-in and webhook receiver."""

    def __init__(
        self,
        home: Path,
        redis_url: str,
        s3: dict[str, str],
        *,
        shards: int = 1,
        shard_module: str = "shards",
        **settings: str,
    ) -> None:
        """`shard_module` is what a shard is started with, by `python -m`."""
        self.home = home
        self._shard_module = shard_module
        self.shard_prefix: list[str] = []
        """What comes before the command of each shard."""
        self.standin = StandIn(sync_ms=200, ref_ttl_ms=20_000)
        self.receiver = Receiver()
        self.shard_names = [f"shard_{i:02d}" for i in range(shards)]
        self.processes: dict[str, asyncio.subprocess.Process | Forked] = {}
        # Tests share a bucket: a session of the same id would find the archives of another test's session.
        self._mark = secrets.token_hex(4)
        self._redis_url = redis_url
        self._s3 = s3
        self._settings = settings
        self.http = httpx.AsyncClient(timeout=40, headers={"Authorization": f"Bearer {TOKEN}"})

    async def __aenter__(self) -> Self:
        await self.standin.start()
        await self.receiver.__aenter__()
        self.port = free_port()
        self.http.base_url = httpx.URL(f"http://127.0.0.1:{self.port}")
        try:
            await self.prepare()
            for name in ("coordinator", *self.shard_names):
                await self.start(name)
            await until("coordinator and shards ready", self.ready)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes.values():
            if process.returncode is None:
                process.kill()
        for process in self.processes.values():
            await process.wait()
        await self.http.aclose()
        await self.receiver.__aexit__()
        await self.standin.stop()
        if kind is not None:
            print(self.logs())

    async def prepare(self) -> None:
        """Do what must be done before the first process is started; `environment` is complete."""

    def environment_of(self, name: str) -> dict[str, str]:
        """Return the settings of one process."""
        return self.environment()

    def environment(self) -> dict[str, str]:
        """Return the settings of every process."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "PYTHONPATH": str(ROOT),
            "DATA_ROOT": str(self.home),
            "REDIS_URL": self._redis_url,
            "API_TOKEN": TOKEN,
            "COORDINATOR_PORT": str(self.port),
            "RECONCILE_INTERVAL_MS": "300",
            "WHATSAPP_WEB_URL": self.standin.url,
            "LARAVEL_WEBHOOK": self.receiver.url,
            "LARAVEL_WEBHOOK_SECRET": SECRET,
            "SHARD_HEARTBEAT_INTERVAL_MS": "300",
            "SHARD_HEARTBEAT_TTL_MS": "1500",
            "SHARD_GRACE_MS": "2000",
            "REDIS_TIMEOUT_MS": "1000",
            "LEASE_TTL_MS": "6000",
            "LEASE_RENEW_INTERVAL_MS": "1000",
            "LEASE_MARGIN_MS": "1000",
            # Tests share a bucket: one house must not begin the sessions of another.
            "RECOVER_SESSIONS": "off",
            "SESSION_SETTLE_MS": "300",
            "SEND_MIN_INTERVAL_MS": "0",
            **self._s3,
            **self._settings,
        }

    def change(self, **settings: str) -> None:
        """Change settings for what is started from now on."""
        self._settings |= settings

    def command(self, name: str) -> list[str]:
        """Return how the coordinator or a shard is started normally."""
        if name == "coordinator":
            return [sys.executable, "-m", "daemon"]
        return [*self.shard_prefix, sys.executable, "-m", self._shard_module, "--name", name]

    async def start(self, name: str, command: Sequence[str] | None = None) -> None:
        """Start the coordinator or a shard, or another `command` in its place; its log is `<home>/<name>.log`."""
        words, path = [*(command or self.command(name))], self.home / f"{name}.log"
        if words[:2] == [sys.executable, "-m"]:
            environment = self.environment_of(name)
            self.processes[name] = fork_module(words[2:], cwd=self.home, env=environment, log=path)
            return
        with path.open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *words, cwd=self.home, env=self.environment_of(name), stdout=log, stderr=log
            )

    async def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit; return the exit code."""
        process = self.processes[name]
        process.send_signal(how)
        return await asyncio.wait_for(process.wait(), 40)

    def logs(self) -> str:
        """Return all logs."""
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(self.home.glob("*.log")))

    def browsers(self) -> list[psutil.Process]:
        """Return the Chromium processes whose profiles lie in this house."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            line = " ".join(process.info["cmdline"] or [])
            if f"--user-data-dir={self.home}" in line:
                found.append(process)
        return found

    def wipe_profiles(self) -> None:
        """Lose everything that the shards keep on disk, as a lost server would."""
        shutil.rmtree(self.home / "profiles", ignore_errors=True)

    async def forget(self, session_id: str) -> None:
        """Take everything that Redis knows of a session away."""
        async with Redis.from_url(self._redis_url, decode_responses=True) as client:
            await client.delete(*[key async for key in client.scan_iter(f"wa:{{{session_id}}}:*")])
            await client.zrem("wa:sessions", session_id)

    async def blazz(self, *words: str) -> "Said":
        """Run a command and return how it ended."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "daemon.cli",
            *words,
            cwd=self.home,
            env=self.environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 90)
        assert process.returncode is not None
        return Said(code=process.returncode, output=output.decode())

    async def ready(self) -> bool:
        """Whether the coordinator answers and sees every shard."""
        try:
            ready = await self.http.get("/health/ready")
            shards = await self.http.get("/api/whatsapp/shards")
        except httpx.TransportError:
            return False
        if not ready.is_success or not shards.is_success:
            return False
        return sum(shard["alive"] for shard in shards.json()["shards"]) == len(self.shard_names)

    async def session(self, session_id: str) -> dict[str, Any]:
        """Return a session as the API shows it."""
        answer = await self.http.get(f"/api/whatsapp/sessions/{session_id}")
        answer.raise_for_status()
        shown: dict[str, Any] = answer.json()
        return shown

    async def create(self, user_id: str, workspace_id: str = "1") -> str:
        """Create a session and return its id."""
        body = {"workspace_id": workspace_id, "user_id": f"{user_id}-{self._mark}"}
        answer = await self.http.post("/api/whatsapp/sessions", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["session_id"])

    async def status(self, session_id: str, *wanted: str, timeout_s: float = DEADLINE_S) -> dict[str, Any]:
        """Wait until the session has one of the states and return it."""

        async def probe() -> dict[str, Any] | None:
            shown = await self.session(session_id)
            return shown if shown["status"] in wanted else None

        try:
            return dict(await until(f"{session_id} is {wanted}", probe, timeout_s=timeout_s))
        except AssertionError as error:
            raise AssertionError(f"{error}: {await self.session(session_id)}") from None

    async def scan(self, session_id: str, phone: str) -> None:
        """Scan the QR code on display with a phone of this number."""
        await self.status(session_id, "qr")

        async def shown() -> str | None:
            answer = await self.http.get(f"/api/whatsapp/sessions/{session_id}/qr", headers={"Accept": "text/plain"})
            return answer.text if answer.status_code == 200 else None

        await self.phone("scan", qr=await until("a QR code", shown), phone=phone, pushname="Test")

    async def phone(self, action: str, **body: Any) -> dict[str, Any]:
        """Do something as the phone."""
        async with httpx.AsyncClient(timeout=20) as client:
            answer = await client.post(f"{self.standin.control_url}/{action}", json=body)
            assert answer.status_code == 200, answer.text
            done: dict[str, Any] = answer.json()
            return done

    async def sent(self) -> list[str]:
        """Return the texts that WhatsApp got from this side, in order."""
        async with httpx.AsyncClient(timeout=20) as client:
            messages = (await client.get(f"{self.standin.control_url}/messages")).json()
        return [m["body"] for m in messages if m["dir"] == "out"]

    async def device(self, phone: str) -> dict[str, Any]:
        """Return what WhatsApp knows of the device last linked to this number."""
        async with httpx.AsyncClient(timeout=20) as client:
            devices = (await client.get(f"{self.standin.control_url}/state")).json()["devices"]
        return dict([d for d in devices if d["jid"].startswith(phone)][-1])

    async def link(self, user_id: str, phone: str) -> str:
        """Create a session, scan, and wait until it is connected and its first archive is stored."""
        session_id = await self.create(user_id)
        await self.scan(session_id, phone)
        await self.status(session_id, "connected")
        await self.archived(session_id)
        return session_id

    async def archived(self, session_id: str) -> dict[str, Any]:
        """Wait until an archive and a hot copy are stored."""

        async def probe() -> dict[str, Any] | None:
            shown = await self.session(session_id)
            return shown if shown["archive"] and shown["hot_copy"] else None

        return dict(await until(f"{session_id} is backed up", probe))

    async def archived_anew(self, session_id: str) -> dict[str, Any]:
        """Wait until this run has stored its own first archive: no other comes until it is asked for, or for long."""

        async def probe() -> dict[str, Any] | None:
            shown = await self.session(session_id)
            return shown if shown["archive"] and shown["archive"]["token"] == shown["token"] else None

        return dict(await until(f"{session_id} has an archive of this run", probe))

    async def event(self, session_id: str, kind: str, count: int = 1) -> dict[str, Any]:
        """Wait for the `count`th webhook of a kind and return it."""

        async def probe() -> dict[str, Any] | None:
            found = self.receiver.of(session_id, kind)
            return found[count - 1] if len(found) >= count else None

        return dict(await until(f"webhook {kind} of {session_id}", probe))


def random_phone() -> str:
    """Return a phone number that no other test uses."""
    return "5511" + str(secrets.randbelow(10**9)).zfill(9)


def free_port() -> int:
    """Return a TCP port that nobody listens on now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
