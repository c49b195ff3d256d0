"""Reading one page of ListObjectsV2. Pure.

Strict on purpose: an answer that is not a listing must not be read as an empty one, which would mean that nothing
is stored.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from daemon.objectstore.facts import ObjectFacts


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some objects in the order of their keys, and the token of the next page, or None at the end."""

    objects: tuple[ObjectFacts, ...]
    next_token: str | None


def read_page(content: bytes) -> Page | None:
    """Return the page in an answer; None if the answer is not a page of a listing."""
    try:
        root = ElementTree.fromstring(content)
        if root.tag.rpartition("}")[2] != "ListBucketResult":
            return None
        coded = root.findtext("{*}EncodingType") == "url"
        objects = tuple(_read_object(item, coded) for item in root.findall("{*}Contents"))
        truncated = root.findtext("{*}IsTruncated", "").lower()
    except (ElementTree.ParseError, ValueError):
        return None
    token = root.findtext("{*}NextContinuationToken")
    if truncated not in {"true", "false"} or (truncated == "true" and not token):
        return None
    return Page(objects=objects, next_token=token if truncated == "true" else None)


def _read_object(item: ElementTree.Element, coded: bool) -> ObjectFacts:
    key = _text(item, "Key")
    return ObjectFacts(
        key=unquote_plus(key) if coded else key,
        size_bytes=int(_text(item, "Size")),
        etag=_text(item, "ETag").strip('"'),
        stored_at=datetime.fromisoformat(_text(item, "LastModified")).astimezone(UTC),
    )


def _text(item: ElementTree.Element, name: str) -> str:
    text = item.findtext(f"{{*}}{name}")
    if not text:
        raise ValueError(f"{name} is missing")
    return text
