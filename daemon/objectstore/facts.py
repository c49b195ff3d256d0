"""What is known of one stored object, and its metadata as S3 carries it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from daemon.core.errors import InvalidInputError

MAX_METADATA_BYTES = 2048
"""R2 takes 8192, AWS and Swift 2048."""
_PREFIX = "x-amz-meta-"


@dataclass(frozen=True, kw_only=True)
class ObjectFacts:
    """One stored object. `metadata` has names in lower case and is empty in listings; `stored_at` is the store's."""

    key: str
    size_bytes: int
    etag: str
    stored_at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)


def metadata_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that store this metadata.

    Raises:
        InvalidInputError: not ASCII, or more than every store takes.
    """
    if sum(len(name) + len(value) for name, value in metadata.items()) > MAX_METADATA_BYTES:
        raise InvalidInputError("metadata is too large", limit_bytes=MAX_METADATA_BYTES)
    for name, value in metadata.items():
        if not (value.isascii() and value.isprintable()):
            raise InvalidInputError("metadata must be printable ASCII", field=name)
    return {f"{_PREFIX}{name.lower()}": value for name, value in metadata.items()}


def read_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata in the headers of an answer."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {name.removeprefix(_PREFIX): value for name, value in lower.items() if name.startswith(_PREFIX)}


def read_length(headers: Mapping[str, str]) -> int | None:
    """Return the size that an answer announces, or None if it does not."""
    value = headers.get("Content-Length", "")
    return int(value) if value.isdecimal() else None


def read_head(key: str, headers: Mapping[str, str]) -> ObjectFacts | None:
    """Return the facts in the headers of an answer about an object; None if it is not a store's answer."""
    size, etag = read_length(headers), headers.get("ETag", "").strip('"')
    if size is None or not etag:
        return None
    try:
        stored_at = parsedate_to_datetime(headers.get("Last-Modified", "")).astimezone(UTC)
    except ValueError:
        return None
    return ObjectFacts(key=key, size_bytes=size, etag=etag, stored_at=stored_at, metadata=read_metadata(headers))
