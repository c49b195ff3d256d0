"""`Body`: the bytes of one archive on their way to the store, read piece by piece and never held as a whole.

minio asks for the digests of a body it sends; those of an archive are known, so nothing is read twice.
"""

import base64
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import BinaryIO

from daemon.core.clock import mono_s
from daemon.core.errors import ObjectStoreUnavailableError, UnavailableError


class Body:
    """A body as urllib3 wants it: read, told and rewound when a request is repeated.

    Errors are ours, which neither urllib3 nor minio knows, so they end the request at once instead of repeating it.
    """

    def __init__(
        self,
        source: BinaryIO,
        *,
        size_bytes: int,
        sha256: str,
        md5: str,
        limit_s: float = float("inf"),
        abandoned: Event | None = None,
    ) -> None:
        """`limit_s` bounds one try to send it all; once `abandoned` is set, nothing more is sent."""
        self.size_bytes = size_bytes
        self.sha256 = sha256
        self.md5 = md5
        self._source = source
        self._sent_bytes = 0
        self._limit_s = limit_s
        self._deadline_mono_s = mono_s() + limit_s
        self._abandoned = abandoned

    @property
    def content_md5(self) -> str:
        """The MD5 as the header Content-MD5 has it."""
        return base64.b64encode(bytes.fromhex(self.md5)).decode()

    def read(self, size: int = -1) -> bytes:
        """Return the next piece, empty at the end.

        Raises:
            ObjectStoreUnavailableError: the store takes it too slowly, or nobody waits for it any more.
            UnavailableError: the source cannot be read, or is shorter than it was.
        """
        if self._abandoned is not None and self._abandoned.is_set():
            raise ObjectStoreUnavailableError("sending was given up", sent_bytes=self._sent_bytes)
        if mono_s() > self._deadline_mono_s:
            raise ObjectStoreUnavailableError(
                "sending is too slow", sent_bytes=self._sent_bytes, size_bytes=self.size_bytes
            )
        left = self.size_bytes - self._sent_bytes
        try:
            piece = self._source.read(left if size < 0 else min(size, left))
        except OSError as error:
            raise UnavailableError(f"the archive file cannot be read ({error.strerror})") from error
        if left and not piece:
            raise UnavailableError("the archive file became shorter", size_bytes=self.size_bytes)
        self._sent_bytes += len(piece)
        return piece

    def tell(self) -> int:
        """Return how much has been read."""
        return self._sent_bytes

    def seek(self, position: int) -> int:
        """Go to where a repeated request begins; the time limit begins anew."""
        self._source.seek(position)
        self._sent_bytes = position
        self._deadline_mono_s = mono_s() + self._limit_s
        return position


@contextlib.contextmanager
def body_of(
    source: Path, *, sha256: str, md5: str, limit_s: Callable[[int], float], abandoned: Event | None = None
) -> Iterator[Body]:
    """Open the file of an archive to be sent; `limit_s` says how long one try may take for its size.

    Raises:
        UnavailableError: it cannot be opened.
    """
    try:
        file = source.open("rb")
    except OSError as error:
        raise UnavailableError(f"the archive file cannot be read ({error.strerror})") from error
    with file:
        size_bytes = os.fstat(file.fileno()).st_size
        yield Body(
            file, size_bytes=size_bytes, sha256=sha256, md5=md5, limit_s=limit_s(size_bytes), abandoned=abandoned
        )
