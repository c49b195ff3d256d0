"""Marks are read as they were written, or not at all."""

import json
from datetime import UTC, datetime

import pytest

from daemon.core.errors import DamagedError, InvalidInputError
from daemon.objectstore.keys import parse_key
from daemon.objectstore.legacy import parse_legacy_key
from daemon.objectstore.marks import MAX_MARK_BYTES, Mark, mark_from_bytes, mark_key, mark_to_bytes, parse_mark_key
from daemon.sessions.states import Desired

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


@pytest.mark.parametrize("desired", list(Desired))
def test_a_mark_comes_back_as_it_was(desired: Desired) -> None:
    mark = Mark(desired=desired, void_token=10**17, at=AT)
    content = mark_to_bytes(mark)
    assert mark_from_bytes(content) == mark
    assert len(content) <= MAX_MARK_BYTES


def test_a_mark_is_no_archive_of_anybody() -> None:
    key = mark_key("7", "s-1")
    assert key == "workspace_7/s-1/mark.json"
    assert parse_mark_key(key) == ("7", "s-1")
    assert parse_key(key) is None
    assert parse_legacy_key(key) is None


@pytest.mark.parametrize(
    "key",
    ["mark.json", "workspace_7/mark.json", "workspace_7/s/mark.json2", "workspace_7/s/x/mark.json",
     "workspace_7/-s/mark.json", "x/workspace_7/s/mark.json", "workspace_7/s/mark.zip"],
)  # fmt: skip
def test_other_names_are_no_marks(key: str) -> None:
    assert parse_mark_key(key) is None


def test_ids_cannot_lead_elsewhere() -> None:
    with pytest.raises(InvalidInputError):
        mark_key("7", "../s")


@pytest.mark.parametrize(
    "change",
    [{"desired": "restless"}, {"void_token": -1}, {"void_token": "x"}, {"void_token": None}, {"at": "yesterday"},
     {"at": 5}, {"desired": None}, {"void_token": 1e999}],
)  # fmt: skip
def test_what_is_no_mark_is_never_read_as_one(change: dict[str, object]) -> None:
    raw = json.loads(mark_to_bytes(Mark(desired=Desired.STOPPED, void_token=1, at=AT))) | change
    with pytest.raises(DamagedError):
        mark_from_bytes(json.dumps(raw).encode())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b"\xff", b"3"])
def test_other_content_is_no_mark(content: bytes) -> None:
    with pytest.raises(DamagedError):
        mark_from_bytes(content)
