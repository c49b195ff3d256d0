"""WhatsApp's place: takes log-ins, pairs what is new, and sees every holder of every session.

A browser holds a session from the moment the judge lets it in until its process has ended, and this is asked of the
kernel at each log-in, not of anybody's record. The judge runs in the runner's event loop, so that all its answers
come one after another.
"""

import asyncio
import os
import select
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.simulation.checking import NOTHING, State
from tests.faults.simulation.history import History, Kind

_SCAN_S = 0.05
_PEERCRED = struct.Struct("3i")


@dataclass(kw_only=True)
class Account:
    """One session at WhatsApp. `device` grows with every pairing, `counter` with every log-in of a device."""

    device: int = 0
    counter: int = 0
    holders: "dict[int, Holder]" = field(default_factory=dict)
    """By process id."""


@dataclass(kw_only=True)
class Holder:
    """A browser that was let in."""

    pid: int
    pidfd: int
    writer: asyncio.StreamWriter

    @property
    def lives(self) -> bool:
        """Whether the process still runs, by the kernel's word at this moment."""
        return not select.select([self.pidfd], [], [], 0)[0]


class Judge:
    """All accounts of one schedule."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._server: asyncio.Server | None = None
        self._visits: set[asyncio.Task[None]] = set()
        self.accounts: dict[str, Account] = {}

    def account(self, session_id: str) -> Account:
        """Return an account, made at its first use."""
        return self.accounts.setdefault(session_id, Account())

    def living(self, session_id: str) -> list[int]:
        """Return the processes that hold a session now."""
        return [holder.pid for holder in self.account(session_id).holders.values() if holder.lives]

    async def listen(self, path: Path) -> None:
        """Take visitors on a unix socket."""
        self._server = await asyncio.start_unix_server(self._visited, path)

    async def close(self) -> None:
        """Take no more, and end what is under way."""
        if self._server is not None:
            self._server.close()
        for visit in list(self._visits):
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)

    def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.create_task(self._receive(reader, writer))
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pid = _peer(writer)
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        session_id = ""
        try:
            _, session_id, device, counter = (await reader.readline()).decode().split()
            holder = Holder(pid=pid, pidfd=pidfd, writer=writer)
            self._check_alone(session_id, holder)
            if not holder.lives:
                return
            self.account(session_id).holders[pid] = holder
            await self._log_in(session_id, holder, (int(device), int(counter)))
            while await reader.readline():
                pass
            await _ended(pidfd)
        except ValueError:
            return  # it ended before it had said anything
        finally:
            if self.account(session_id).holders.pop(pid, None) is not None:
                self._history.note(Kind.LEFT, session_id, pid=pid)
            os.close(pidfd)

    def _check_alone(self, session_id: str, newcomer: Holder) -> None:
        others = [pid for pid in self.living(session_id) if pid != newcomer.pid]
        if others and newcomer.lives:
            self._history.fail("two holders of one session", session_id, holders=[*others, newcomer.pid])

    async def _log_in(self, session_id: str, holder: Holder, state: State) -> None:
        account = self.account(session_id)
        self._history.note(Kind.LOGIN, session_id, pid=holder.pid, presented=state)
        if state == NOTHING or state[0] != account.device:
            # As a phone that scans the code at once.
            holder.writer.write(b"qr code-%d\n" % (account.device + 1))
            await asyncio.sleep(_SCAN_S)
            if not holder.lives:
                return
            account.device, account.counter = account.device + 1, 0
        account.counter += 1
        given = (account.device, account.counter)
        self._history.note(Kind.GIVEN, session_id, pid=holder.pid, state=given)
        holder.writer.write(b"in %d %d\n" % given)


def _peer(writer: asyncio.StreamWriter) -> int:
    line: socket.socket = writer.get_extra_info("socket")
    pid, _, _ = _PEERCRED.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size))
    return int(pid)


async def _ended(pidfd: int) -> None:
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(pidfd, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(pidfd)
