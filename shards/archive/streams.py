"""Where packed bytes go, step by step: measured into a file, or kept in memory up to a limit."""

import hashlib
import io
from typing import BinaryIO, Protocol


class Sink(Protocol):
    """What bytes of a copy are written to, from the first to the last."""

    def write(self, content: bytes, /) -> int: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class TooLargeError(Exception):
    """More was written than the limit; never leaves this package."""


class Measured:
    """Writes to a file and knows the size and the digests of what was written; leaves the file open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """SHA-256 of all that was written, as hex."""
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        """MD5 of all that was written, as hex: what object stores give as ETag."""
        return self._md5.hexdigest()

    def write(self, content: bytes, /) -> int:
        """Write all of `content`."""
        self._file.write(content)
        self._sha256.update(content)
        self._md5.update(content)
        self.size_bytes += len(content)
        return len(content)

    def flush(self) -> None:
        """Give to the system what waits in the file's buffer."""
        self._file.flush()

    def close(self) -> None:
        """Flush; the file is its owner's to close."""
        self._file.flush()


class Limited:
    """Keeps what is written in memory, never more than `limit_bytes`."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._kept = io.BytesIO()

    @property
    def content(self) -> bytes:
        """Everything that was written."""
        return self._kept.getvalue()

    def write(self, content: bytes, /) -> int:
        """Keep `content`.

        Raises:
            TooLargeError: it would be more than the limit.
        """
        if self._kept.tell() + len(content) > self._limit_bytes:
            raise TooLargeError
        return self._kept.write(content)

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: the content stays readable."""
