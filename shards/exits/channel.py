"""supervisord's event listener protocol (https://supervisord.org/events.html) on our stdin and stdout.

Every event is acknowledged as soon as it is read: what is done about it is none of supervisord's business, and it
sends the next event only then.
"""

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import Self, TextIO

import structlog
from supervisor import childutils  # type: ignore[import-untyped]

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event as supervisord tells it."""

    name: str
    """As "PROCESS_STATE_EXITED"."""
    payload: str
    """As "processname:shard_00 groupname:shard from_state:RUNNING expected:0 pid:2766"."""


class EventChannel:
    """Both ends of the conversation with supervisord."""

    def __init__(self, reader: asyncio.StreamReader, answers: TextIO) -> None:
        self._reader = reader
        self._answers = answers

    @classmethod
    async def open(cls) -> Self:
        """Take stdin and stdout over; from now on, what anybody else prints goes to stderr.

        A single stray line on the real stdout would make supervisord ignore this process for ever.

        Raises:
            ValueError: stdin is no pipe, so this process was not started by supervisord.
        """
        answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        return cls(reader, answers)

    async def next(self) -> Event | None:
        """Ask for the next event, wait for it and acknowledge it; None when there will be no more."""
        try:
            childutils.listener.ready(self._answers)
            line = (await self._reader.readline()).decode(errors="replace")
            if not line.endswith("\n"):
                return None
            event = await self._rest(line)
            childutils.listener.ok(self._answers)
        except (asyncio.IncompleteReadError, BrokenPipeError):
            return None
        return event

    async def _rest(self, line: str) -> Event | None:
        try:
            headers = childutils.get_headers(line)
            name, length = str(headers["eventname"]), int(headers["len"])
        except (ValueError, KeyError) as error:
            # Where the next event begins cannot be known. A new process gets a new pipe.
            log.error("cannot follow supervisord, ends to be started again", error=type(error).__name__)
            return None
        payload = await self._reader.readexactly(length)
        return Event(name=name, payload=payload.decode(errors="replace"))
