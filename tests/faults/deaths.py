"""A house whose one shard is killed again and again, and what must be true after each time."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.archives import stored_orders
from tests.integration.house.house import House, random_phone, until
from tests.servers.s3 import S3Server

SHARD = "shard_00"
Order = tuple[int, int]


@dataclass(kw_only=True)
class Linked:
    """A linked session."""

    session_id: str
    phone: str
    restores: int = 0
    """How often it has come back."""
    stored: Order = (0, 0)
    """The newest copy that any store had when the shard died, written down or not."""


@dataclass
class Deaths:
    """The sessions of a house and its dying shard."""

    house: House
    s3: S3Server
    sessions: list[Linked] = field(default_factory=list)
    left: set[Path] = field(default_factory=set)
    """What the dead shard left in its temporary places."""
    source: str | None = None
    """Where the next start must restore from; None: from wherever the newest copy is."""

    async def link(self, count: int) -> None:
        """Link so many sessions and wait for their first backups."""
        phones = [random_phone() for _ in range(count)]
        ids = await asyncio.gather(*(self.house.link(f"u{i}", phone) for i, phone in enumerate(phones)))
        self.sessions = [Linked(session_id=i, phone=phone) for i, phone in zip(ids, phones, strict=True)]

    async def start_dying(self, steps: Sequence[str], *, at_once: bool) -> None:
        """Start the shard that dies at the last of the steps, which count at once or only from `arm` on."""
        for path in (self._note, self._arming):
            path.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.faults.dying_shard", "--note", str(self._note)]
        command += [word for step in steps for word in ("--step", step)]
        command += [] if at_once else ["--armed-by", str(self._arming)]
        await self.house.start(SHARD, [*command, "--", "--name", SHARD])

    def arm(self) -> None:
        """Let the steps count from now on."""
        self._arming.touch()

    async def died(self, steps: Sequence[str]) -> None:
        """Wait until the shard died at its step, and note what it left."""
        process = self.house.processes[SHARD]
        try:
            code = await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            raise AssertionError(f"the shard did not die at {steps}") from None
        assert code == -signal.SIGKILL and self._note.exists(), f"ended with {code}, not at {steps}"
        await until("the kernel ended Chromium with its shard", self._no_browser, timeout_s=5)
        self.left |= set(self.temporary())
        for session in self.sessions:
            session.stored = await self.newest(session)

    async def kill(self) -> None:
        """Kill the shard, wherever it is."""
        await self.house.stop(SHARD, signal.SIGKILL)
        await until("the kernel ended Chromium with its shard", self._no_browser, timeout_s=5)

    async def newest(self, session: Linked) -> Order:
        """Return the order of the newest copy in any store."""
        shown = await self.house.session(session.session_id)
        noted = [(copy["token"], copy["generation"]) for copy in (shown["hot_copy"], shown["archive"]) if copy]
        return max(noted + await stored_orders(self.s3, session.session_id))

    async def all_back(self, after: object, *, stale: int = 0) -> None:
        """Wait until every session is connected from the newest copy, and check that nothing was lost or left.

        `stale` is how many stale log-ins there may be for each: none, unless a log-in was never copied.
        """
        for session in self.sessions:
            session.restores += 1
            restored = await self.house.event(session.session_id, "session_restored", session.restores)
            await self.house.status(session.session_id, "connected")
            data = restored["data"]
            assert self.source in {None, data["source"]}, f"{after}: restored from {data['source']}"
            assert (data["token"], data["generation"]) >= session.stored, f"{after}: older copy restored"
            assert self.house.receiver.kinds(session.session_id).count("qr") == 1, f"{after}: asked for a scan"
            logins = await self.house.device(session.phone)
            assert logins["stale_logins"] <= stale, f"{after}: an old state logged in"
        still = [str(path) for path in self.left if path.exists()]
        assert not still, f"{after}: left behind {still}"
        self.left.clear()
        self.source = None

    async def settled(self) -> None:
        """Wait until the log-in of every session is in both stores."""
        for session in self.sessions:

            async def both(session_id: str = session.session_id) -> bool:
                shown = await self.house.session(session_id)
                copies = (shown["hot_copy"], shown["archive"])
                return all(copy and copy["token"] == shown["token"] for copy in copies)

            await until(f"{session.session_id} is copied under its new token", both)

    async def change(self) -> None:
        """Change every profile, by a message."""
        sender = {"from": "5511888880001@c.us"}
        for session in self.sessions:
            before = len(self.house.receiver.of(session.session_id, "message"))
            await self.house.phone("inbound", phone=session.phone, **sender, body="x" * 1000)
            await self.house.event(session.session_id, "message", before + 1)

    def temporary(self) -> list[Path]:
        """Return what lies in the temporary places of the shard."""
        root = self.house.home / "profiles" / SHARD
        return [*root.glob("tmp/*"), *root.glob("sessions/.*"), *self.house.home.glob(f"blazz-*-{SHARD}/*")]

    async def _no_browser(self) -> bool:
        return not self.house.browsers()

    @property
    def _note(self) -> Path:
        return self.house.home / "died"

    @property
    def _arming(self) -> Path:
        return self.house.home / "armed"
