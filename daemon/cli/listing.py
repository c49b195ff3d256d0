"""The sessions as the API lists them, page after page."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from daemon.cli.client import Coordinator
from daemon.cli.session_said import SESSIONS_PATH

_PAGE = 500


def listed(coordinator: Coordinator, given: Mapping[str, str], limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the sessions that fit what is given, in the order of their ids; `limit` is the most, None: all."""
    for page in pages(coordinator, given, limit):
        yield from page


def pages(
    coordinator: Coordinator, given: Mapping[str, str], limit: int | None = None
) -> Iterator[list[dict[str, Any]]]:
    """The same in pages, each of which is one request."""
    cursor, left = None, limit
    while left is None or left > 0:
        asked: dict[str, str | int] = {**given, "limit": min(_PAGE, left or _PAGE)}
        page = coordinator.get(f"{SESSIONS_PATH}?{urlencode(asked | ({'cursor': cursor} if cursor else {}))}")
        yield page["sessions"]
        cursor = page["next_cursor"]
        left = None if left is None else left - len(page["sessions"])
        if cursor is None:
            return
