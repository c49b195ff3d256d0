"""The body of a webhook."""

import json
from datetime import UTC, datetime

from daemon.sessions.events import Event, EventKind
from daemon.webhooks.body import body_of


def _event(**data: object) -> Event:
    at = datetime(2026, 1, 31, 12, 0, 0, 5000, tzinfo=UTC)
    return Event(
        event_id="evt_1", kind=EventKind.MESSAGE, session_id="s", workspace_id="7", user_id="12", at=at, data=data
    )


def test_it_has_the_fields_of_the_contract() -> None:
    assert json.loads(body_of(_event(body="hé🎉"))) == {
        "id": "evt_1", "event": "message", "session_id": "s", "workspace_id": "7", "user_id": "12",
        "timestamp": "2026-01-31T12:00:00.005Z", "data": {"body": "hé🎉"},
    }  # fmt: skip


def test_half_an_emoji_still_makes_json_that_others_can_read() -> None:
    body = body_of(_event(body="cut \ud83c"))
    assert json.loads(body.decode("utf-8"))["data"]["body"] == "cut ?"
    assert b"\\ud83c" not in body
