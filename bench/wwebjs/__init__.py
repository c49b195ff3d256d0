"""The peer: whatsapp-web.js with its RemoteAuth and wwebjs-aws-s3, as published on npm."""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from bench.counted import counted, end_all
from bench.outcome import Outcome, Watch
from bench.restore import mapping_flags
from bench.wwebjs.packages import PACKAGES, install_packages, node
from daemon.embedded.parent import die_with_parent
from tests.integration.profile.rig import CHROMIUM
from tests.servers.s3 import S3Server
from tests.standin import StandIn

__all__ = ["FULL_CHROMIUM", "WAYS", "ArchiveTime", "Peer", "Way", "install_packages"]

FULL_CHROMIUM = "/usr/lib/chromium/chromium"
_FOLDER = "remoteauth"
_SAID_CHARS = 1500


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to run the peer."""

    name: str
    executable: str
    headless: bool | str
    """As puppeteer takes it."""
    repaired: bool


WAYS = {
    "documented": Way(name="wwebjs", executable=FULL_CHROMIUM, headless=True, repaired=False),
    "shell": Way(name="wwebjs on shell", executable=CHROMIUM, headless="shell", repaired=False),
    "repaired": Way(name="wwebjs on shell, repaired", executable=CHROMIUM, headless="shell", repaired=True),
}


@dataclass(frozen=True, kw_only=True)
class ArchiveTime:
    """How long one step took for all profiles."""

    step: str
    way: str
    seconds: float
    size_bytes: int | None
    """Of all archives that were written."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """The peer's side of the comparison."""

    work: Path
    """A directory of its own."""
    s3: S3Server
    standin: StandIn
    sessions: Sequence[str]
    phones: dict[str, str] = field(repr=False)
    """The number of each session."""

    async def store(self, profiles: dict[str, Path]) -> None:
        """Put a profile of each session into the bucket, by RemoteAuth's own code."""
        data = await self._copied("store", profiles)
        stored = [told async for told in self._told("store.js", data, {}) if told["event"] == "stored"]
        if len(stored) != len(profiles):
            raise click.ClickException(f"RemoteAuth stored {len(stored)} of {len(profiles)} sessions")
        shutil.rmtree(data)

    async def restore(self, way: Way, count: int, *, patience_s: float) -> Outcome:
        """Bring the first `count` sessions up from the bucket in an empty data directory, and end them."""
        sessions = self.sessions[:count]
        data = self._fresh("restore")
        logins = self._logins()
        with counted("peer") as group:
            watch = Watch(way.name, set(sessions), patience_s=patience_s, group=group)
            async with self._script("restore.js", data, {"clients": sessions} | self._settings_of(way)) as script:
                group.take(script.pid)
                reading = asyncio.create_task(_follow(script, watch))
                try:
                    await self._judge(watch, logins)
                    found = await watch.found()
                finally:
                    reading.cancel()
                    await asyncio.to_thread(end_all, group)
        await asyncio.to_thread(shutil.rmtree, data)
        return found

    async def archive(self, profiles: dict[str, Path]) -> list[ArchiveTime]:
        """Time RemoteAuth's compress and extract on copies of these profiles."""
        data = await self._copied("archive", profiles)
        found = [
            ArchiveTime(step=told["step"], way=told["way"], seconds=told["seconds"], size_bytes=told.get("bytes"))
            async for told in self._told("archive.js", data, {})
        ]
        shutil.rmtree(data)
        return found

    async def _judge(self, watch: Watch, logins: dict[str, int]) -> None:
        """Wait for the end, and tell those apart that WhatsApp let in from those that never came so far."""
        left = await watch.over()
        now = self._logins()
        for session in left:
            came = now[self.phones[session]] > logins[self.phones[session]]
            watch.lose(session, "logged in, never ready" if came else "not logged in")

    def _logins(self) -> dict[str, int]:
        return {device.phone: device.logins for device in self.standin.devices}

    async def _copied(self, name: str, profiles: dict[str, Path]) -> Path:
        data = self._fresh(name)
        for session, profile in profiles.items():
            await asyncio.to_thread(shutil.copytree, profile, data / f"RemoteAuth-{session}", symlinks=True)
        return data

    def _fresh(self, name: str) -> Path:
        data = self.work / name
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True)
        return data

    def _settings_of(self, way: Way) -> dict[str, object]:
        arguments = [*mapping_flags(self.standin), "--disable-gpu", "--disable-dev-shm-usage"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        puppeteer = {"executablePath": way.executable, "headless": way.headless, "args": arguments}
        return {"repaired": way.repaired, "puppeteer": puppeteer}

    async def _told(self, name: str, data: Path, settings: dict[str, object]) -> AsyncIterator[dict[str, Any]]:
        async with self._script(name, data, settings) as script:
            async for told in _lines(script):
                yield told
            if await script.wait():
                raise click.ClickException(f"{name} failed:\n{_said(data)}")

    @contextlib.asynccontextmanager
    async def _script(
        self, name: str, data: Path, settings: dict[str, object]
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run one of the scripts here; it is ended on leaving. Its errors go to a file beside `data`."""
        s3 = {
            "endpoint": self.s3.endpoint + self.s3.path_prefix, "accessKey": self.s3.access_key,
            "secretKey": self.s3.secret_key, "bucket": self.s3.bucket, "folder": _FOLDER,
        }  # fmt: skip
        whole = {"dataPath": str(data), "clients": list(self.sessions), "s3": s3} | settings
        with _errors(data).open("wb") as errors:
            script = await asyncio.create_subprocess_exec(
                node(), Path(__file__).parent / name,
                env={
                    "PATH": os.environ["PATH"], "HOME": str(data), "NODE_PATH": str(PACKAGES / "node_modules"),
                    "NODE_DISABLE_COMPILE_CACHE": "1", "SETTINGS": json.dumps(whole),
                },
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=errors,
                preexec_fn=die_with_parent,
            )  # fmt: skip
        try:
            yield script
        finally:
            if script.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    script.kill()
                await script.wait()


async def _follow(script: asyncio.subprocess.Process, watch: Watch) -> None:
    async for told in _lines(script):
        match told["event"]:
            case "ready":
                watch.ready(told["client"])
            case "qr":
                watch.lose(told["client"], "QR shown")
            case "auth_failure" | "failed":
                watch.hear(str(told.get("error", told["event"])))
                watch.lose(told["client"], "error at the start")
            case "unhandled":
                watch.hear(str(told["error"]))
            case _:
                watch.stir()
    watch.lose_rest("process ended")


async def _lines(script: asyncio.subprocess.Process) -> AsyncIterator[dict[str, Any]]:
    assert script.stdout is not None
    async for line in script.stdout:
        if line.startswith(b"{"):
            yield json.loads(line)


def _errors(data: Path) -> Path:
    return data.with_suffix(".errors")


def _said(data: Path) -> str:
    return _errors(data).read_text(errors="replace")[-_SAID_CHARS:].strip()
