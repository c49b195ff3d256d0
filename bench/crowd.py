"""Many shards in one process, with sessions that have no browser: `python -m bench.crowd --first N --count M`.

Everything that a shard does with Redis and its disk is real; a session's page is a few lines that say "connected". Used
by `bench.control_plane`, which starts it and ends it.
"""

import asyncio
import resource
from collections.abc import Mapping
from pathlib import Path

import click

import shards.backup.keeper
import shards.runner.watch
from daemon.core.logs import configure_logs
from daemon.core.settings import Settings, load_settings
from daemon.sessions.outgoing import Outgoing
from shards.identity import ShardIdentity
from shards.page.calls import MediaFile, SentMessage
from shards.page.events import Take
from shards.page.overlay import OVERLAY_FILE, Overlay
from shards.page.state import PageSnapshot, PageState
from shards.process import ShardProcess
from shards.restore.restored import Restored
from shards.runner.engine import EngineParts
from tests.faults.simulation.engine import furnish

_CONNECTED = PageSnapshot(state=PageState.CONNECTED, phone="4915112345678", pushname="Bench")
_OVERLAY = Overlay(origin="https://web.whatsapp.com", local_storage={"state": "1 1"}, cookies=())


class _IdlePage:
    """A page on which nothing happens."""

    async def snapshot(self) -> PageSnapshot:
        return _CONNECTED

    async def refresh_qr(self) -> None:
        return

    async def pairing_code(self, phone: str) -> str:
        raise NotImplementedError

    async def logout(self) -> None:
        raise NotImplementedError

    async def send(self, message: Outgoing, *, body: bytes | None = None) -> SentMessage:
        raise NotImplementedError

    async def find_number(self, phone: str) -> str | None:
        raise NotImplementedError

    async def download_media(self, message_id: str, *, limit_bytes: int) -> MediaFile:
        raise NotImplementedError

    def collect_garbage(self) -> None:
        return


class _IdleOpen:
    last_words = ""

    def __init__(self) -> None:
        self.page = _IdlePage()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class _IdleBrowser:
    """A browser that is not there."""

    def __init__(self, profile_dir: Path) -> None:
        self._profile_dir = profile_dir
        self.is_open = False

    async def open(self, restored: Restored, take: Take) -> _IdleOpen:
        furnish(self._profile_dir)
        self.is_open = True
        return _IdleOpen()

    async def cut_off(self) -> None:
        return

    async def overlay(self) -> Mapping[str, bytes]:
        return {OVERLAY_FILE: _OVERLAY.to_json()}

    async def last_overlay(self) -> Mapping[str, bytes] | None:
        return await self.overlay()

    async def close(self) -> bool:
        self.is_open = False
        return True

    async def discard(self) -> None:
        self.is_open = False

    def kill(self) -> None:
        self.is_open = False


class _IdleEngine:
    version = "156.0.0.0"

    def browser(self, session_id: str, profile_dir: Path) -> _IdleBrowser:
        return _IdleBrowser(profile_dir)


async def _make_engine(parts: EngineParts) -> _IdleEngine:
    return _IdleEngine()


@click.command()
@click.option("--first", required=True, type=int, help="Number of the first shard.")
@click.option("--count", default=1, show_default=True, help="How many shards.")
@click.option("--looks-s", type=float, help="How often pages and profiles are looked at; default as the product.")
def main(first: int, count: int, looks_s: float | None) -> None:
    """Run shards until killed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if looks_s is not None:
        for room in (shards.runner.watch, shards.backup.keeper):
            room._LOOK_INTERVAL_S = room._RESTING_LOOK_INTERVAL_S = looks_s
    settings = load_settings()
    configure_logs(settings.log, process="crowd")
    asyncio.run(_run(settings, range(first, first + count)))


async def _run(settings: Settings, numbers: range) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in numbers:
            identity = ShardIdentity(f"shard_{number:02d}", settings.paths.run_dir)
            tasks.create_task(ShardProcess(settings, identity, make_engine=_make_engine).run())


if __name__ == "__main__":
    main()
