"""Events on disk until Redis has them: a message that the page has confirmed to WhatsApp never comes a second time.

One file for each run of a session, locked by the process that runs it. What a kill -9 or a lost lease leaves there is
told by whichever shard of this host finds the file unlocked; Redis remembers what was told, so that it is told once.
Written without fsync: it outlives the process, not the host.
"""

import asyncio
import fcntl
import os
from pathlib import Path

import structlog

from daemon.core.files import private_directory
from daemon.core.loops import run_every
from daemon.registry.events import EventStream, event_from_text, event_to_text
from daemon.sessions.events import Event

log = structlog.get_logger()

_SWEEP_INTERVAL_S = 2.0
_OPEN_TRIES = 5


class Journal:
    """The events of one run that may not be in Redis yet. A disk that takes nothing costs the journal, no event."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._untold: set[str] = set()
        self._failed = False

    @property
    def waiting(self) -> int:
        """How many events it has that are not told."""
        return len(self._untold)

    def add(self, event: Event) -> None:
        """Write an event down before it is told."""
        self._untold.add(event.event_id)
        try:
            if self._file is None:
                self._file = _opened(self._path)
            os.write(self._file, event_to_text(event).encode() + b"\n")
        except OSError as error:
            if not self._failed:
                self._failed = True
                log.error("events are not on disk until Redis has them", error=str(error), event_id=event.event_id)

    def told(self, event: Event) -> None:
        """Note that Redis has it."""
        self._untold.discard(event.event_id)
        if self._file is not None and not self._untold:
            os.ftruncate(self._file, 0)

    def close(self) -> int:
        """Leave what is not told to the sweep of this host; return how many events that are."""
        if self._file is not None:
            if not self._untold:
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None
        return len(self._untold)


class Journals:
    """The journals of this host. `folder` is shared by all its shards."""

    def __init__(self, folder: Path, stream: EventStream) -> None:
        self._folder = folder
        self._stream = stream

    def of(self, session_id: str, token: int) -> Journal:
        """Return the journal of one run; its file is made with its first event."""
        return Journal(private_directory(self._folder) / f"{session_id}~{token}")

    async def run(self, stop: asyncio.Event) -> None:
        """Tell what ended runs left, at start and every few seconds, until `stop` is set."""
        await run_every(_SWEEP_INTERVAL_S, self.sweep, name="untold events", stop=stop)

    async def sweep(self) -> None:
        """Tell what is in the journals that nobody writes.

        Raises:
            RedisUnavailableError: the rest waits for the next time.
        """
        if not self._folder.is_dir():
            return
        for path in sorted(self._folder.iterdir()):
            try:
                file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file).st_nlink:  # else another shard was here first
                    await self._tell_all(path.name.partition("~")[0], file)
                    path.unlink(missing_ok=True)
            except BlockingIOError:
                continue  # its run goes on
            finally:
                os.close(file)

    async def _tell_all(self, session_id: str, file: int) -> None:
        told = 0
        for event in _read(session_id, file):
            if await self._stream.may_tell(event, 0):
                await self._stream.publish(event)
                await self._stream.note_told(event)
                told += 1
        if told:
            log.warning("events told that an ended run had left", session_id=session_id, events=told)


def _opened(path: Path) -> int:
    """Open and lock a journal; a sweep may have it for a moment before it is locked, and then removes it."""
    for _ in range(_OPEN_TRIES):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.stat(path), os.fstat(file)):
                return file
        except BlockingIOError:
            pass
        os.close(file)
    raise OSError(f"{path.name} is not to be had")


def _read(session_id: str, file: int) -> list[Event]:
    """Return the events of an open journal; a last line may be cut off."""
    events = []
    for line in os.pread(file, os.fstat(file).st_size, 0).split(b"\n")[:-1]:
        try:
            events.append(event_from_text(line.decode()))
        except (ValueError, KeyError, TypeError):
            log.warning("a line of a journal is no event", session_id=session_id)
    return events
