"""Events on disk until Redis has them: a message that the page has confirmed to WhatsApp never comes a second time.

The files of a run are locked by the process that runs it. What a kill -9 or a lost lease leaves there is told by
whichever shard of this host finds a file unlocked; what was told is marked there, and Redis remembers the last of it,
so that it is told once. Written without fsync: it outlives the process, not the host.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from daemon.core.files import private_directory
from daemon.core.loops import run_every
from daemon.registry.events import EventStream, event_from_text, event_to_text
from daemon.sessions.events import Event

log = structlog.get_logger()

_SWEEP_INTERVAL_S = 2.0
_OPEN_TRIES = 5
_PART_BYTES = 256 * 1024
_TOLD = b"told "


@dataclass(kw_only=True, eq=False)
class _Part:
    """One file of a journal."""

    path: Path
    file: int
    untold: set[str] = field(default_factory=set)


class Journal:
    """The events of one run that may not be in Redis yet. A disk that takes nothing costs the journal, no event.

    It grows in parts. A part that is told is emptied, or removed if it was full; until then each event of it that was
    told is marked there. So the work for an event does not depend on how many wait.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: list[_Part] = []
        self._made = 0
        self._where: dict[str, _Part] = {}
        self._failed = False

    @property
    def waiting(self) -> int:
        """How many events it has that are not told."""
        return len(self._where)

    def add(self, event: Event) -> bool:
        """Write an event down before it is told; return whether it is there. It is written once."""
        if event.event_id in self._where:
            return True
        try:
            part = self._open_part()
            _append(part.file, event_to_text(event).encode())
        except OSError as error:
            if not self._failed:
                self._failed = True
                log.error("events are not on disk until Redis has them", error=str(error), event_id=event.event_id)
            return False
        part.untold.add(event.event_id)
        self._where[event.event_id] = part
        return True

    def told(self, event: Event) -> None:
        """Note that Redis has it."""
        part = self._where.pop(event.event_id, None)
        if part is None:
            return
        part.untold.discard(event.event_id)
        if part.untold:
            _mark(part.file, event)
        elif part is self._parts[-1]:
            os.ftruncate(part.file, 0)
        else:
            self._parts.remove(part)
            part.path.unlink(missing_ok=True)
            os.close(part.file)

    def close(self) -> int:
        """Leave what is not told to the sweep of this host; return how many events that are."""
        for part in self._parts:
            if not part.untold:
                part.path.unlink(missing_ok=True)
            os.close(part.file)
        self._parts.clear()
        return len(self._where)

    def _open_part(self) -> _Part:
        """Return the part to write to. Raises OSError when there is none."""
        if not self._parts or os.fstat(self._parts[-1].file).st_size >= _PART_BYTES:
            path = self._path.with_name(f"{self._path.name}~{self._made:06}") if self._made else self._path
            self._parts.append(_Part(path=path, file=_opened(path)))
            self._made += 1
        return self._parts[-1]


class Journals:
    """The journals of this host. `folder` is shared by all its shards."""

    def __init__(self, folder: Path, stream: EventStream) -> None:
        self._folder = folder
        self._stream = stream

    def of(self, session_id: str, token: int) -> Journal:
        """Return the journal of one run; its first file is made with its first event."""
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
        # All are looked up before any is told: Redis remembers a number of them, and telling pushes the oldest out.
        untold = [event for event in _read(session_id, file) if await self._stream.may_tell(event, 0)]
        for event in untold:
            await self._stream.publish(event)
            await self._stream.note_told(event)
            _mark(file, event)
        if untold:
            log.warning("events told that an ended run had left", session_id=session_id, events=len(untold))


def _append(file: int, line: bytes) -> None:
    """Write one line. A newline comes first, as the line before may be cut off. Raises OSError when it is not whole."""
    text = b"\n" + line
    if os.write(file, text) != len(text):
        raise OSError("the disk took only a part")


def _mark(file: int, event: Event) -> None:
    """Note in the file that an event was told."""
    with contextlib.suppress(OSError):  # then Redis has to remember it
        _append(file, _TOLD + event.event_id.encode())


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
    """Return the events of an open journal that are not marked as told, each once; a line may be cut off."""
    lines = [line for line in os.pread(file, os.fstat(file).st_size, 0).split(b"\n") if line]
    told = {line.removeprefix(_TOLD).decode(errors="replace") for line in lines if line.startswith(_TOLD)}
    events = _events(session_id, (line for line in lines if not line.startswith(_TOLD)))
    return [event for event in {event.event_id: event for event in events}.values() if event.event_id not in told]


def _events(session_id: str, lines: Iterable[bytes]) -> Iterable[Event]:
    for line in lines:
        try:
            yield event_from_text(line.decode())
        except (ValueError, KeyError, TypeError):
            log.warning("a line of a journal is no event", session_id=session_id)
