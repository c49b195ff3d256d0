"""What Chromium writes to its standard error: the DevTools address, and its last words for an error message.

It has to be read for as long as Chromium lives, or Chromium stops on a full pipe.
"""

import asyncio
import os
import re
from collections import deque
from typing import IO

_ENDPOINT = re.compile(r"DevTools listening on (ws://\S+)")
_TAIL_LINES = 20
_LINE_CHARS = 300
_NOISE = ("dbus/", "vaapi_wrapper", "Floss", "crashpad")


class StderrReader:
    """Reads a pipe on the event loop. `endpoint` is done when Chromium has told its DevTools address."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()
        self._partial = b""
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.endpoint: asyncio.Future[str] = self._loop.create_future()
        os.set_blocking(pipe.fileno(), False)
        self._loop.add_reader(pipe.fileno(), self.read)

    @property
    def last_words(self) -> str:
        """The last lines that say something."""
        return " | ".join(self._tail)

    def read(self) -> None:
        """Take what is in the pipe now."""
        try:
            chunk = b"" if self._pipe.closed else os.read(self._pipe.fileno(), 65536)
        except BlockingIOError:
            return
        if not chunk:
            self.close()
            return
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        self._partial = self._partial[:4096]
        for raw in lines:
            self._on_line(raw.decode(errors="replace").strip())

    def close(self) -> None:
        """Read no more. Safe to call again."""
        if not self._pipe.closed:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()

    def _on_line(self, line: str) -> None:
        found = _ENDPOINT.search(line)
        if found:
            # Kept out of the last words, which go into logs: whoever knows the address controls the browser.
            if not self.endpoint.done():
                self.endpoint.set_result(found[1])
        elif line and not any(word in line for word in _NOISE):
            self._tail.append(line[:_LINE_CHARS])
