"""Real coordinator processes on one Redis, without shards and without an object store that answers."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.integration.house.house import ROOT, TOKEN, free_port, until


class Coordinators:
    """Starts coordinators; the test ends them, or leaving does."""

    def __init__(self, home: Path, redis_url: str, **settings: str) -> None:
        self._home = home
        self._redis_url = redis_url
        self._settings = settings
        self._started: list[asyncio.subprocess.Process] = []
        self._clients: list[httpx.AsyncClient] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            if process.returncode is None:
                process.kill()
            await process.wait()
        for client in self._clients:
            await client.aclose()
        if kind is not None:
            print((self._home / "coordinators.log").read_text())

    async def start(self) -> tuple[asyncio.subprocess.Process, httpx.AsyncClient]:
        """Start a coordinator and return it, and a client of its API; it may not listen yet."""
        port = free_port()
        with (self._home / "coordinators.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "daemon", cwd=self._home, env=self._environment(port), stdout=log, stderr=log
            )
        self._started.append(process)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20)
        self._clients.append(client)
        return process, client

    async def kill_oldest(self) -> None:
        """Kill -9 the coordinator that was started first of those that run."""
        oldest = next(process for process in self._started if process.returncode is None)
        oldest.kill()
        await oldest.wait()

    def freeze_oldest(self) -> asyncio.subprocess.Process:
        """Stop the oldest one as a machine that swaps does; it goes on at a SIGCONT."""
        oldest = next(process for process in self._started if process.returncode is None)
        oldest.send_signal(signal.SIGSTOP)
        return oldest

    async def listening(self, client: httpx.AsyncClient) -> None:
        """Wait until a coordinator answers."""

        async def answers() -> bool:
            try:
                return (await client.get("/health/live")).status_code == 200
            except httpx.TransportError:
                return False

        await until("the coordinator answers", answers)

    def _environment(self, port: int) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DATA_ROOT": str(self._home),
            "REDIS_URL": self._redis_url,
            "API_TOKEN": TOKEN,
            "COORDINATOR_PORT": str(port),
            "RECONCILE_INTERVAL_MS": "200",
            "RECONCILE_FULL_MS": "400",
            "SHARD_GRACE_MS": "60000",
            "R2_ENDPOINT": "http://127.0.0.1:1",
            "R2_ACCESS_KEY_ID": "none",
            "R2_SECRET_ACCESS_KEY": "none",
            "SESSION_BACKUP_ENABLED": "false",
            "RECOVER_SESSIONS": "off",
            **self._settings,
        }
