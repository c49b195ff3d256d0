"""What the page tells goes to the disk in that moment, however much it is and whatever else stands still."""

import asyncio
from pathlib import Path
from typing import Any

from daemon.core.clock import utc_now
from daemon.sessions.record import SessionRecord
from shards.journal import Journal
from shards.page.events import PageEvent, PageEventKind
from shards.publisher import Publisher
from shards.runner.hearing import Hearing

RECORD = SessionRecord(session_id="s", workspace_id="7", user_id="12", created_at=utc_now(), status_at=utc_now())
MANY = 5000


def _message(number: int, **more: Any) -> PageEvent:
    data = {"id": f"false_1@c.us_{number:08}", "from": "1@c.us", "to": "2@c.us", "body": "x", "type": "chat"}
    return PageEvent(kind=PageEventKind.MESSAGE, data={**data, "timestamp": 1, "from_me": False, **more})


async def test_a_backlog_of_any_size_is_on_disk_before_anything_waits_for_redis(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "s~1")
    publisher = Publisher(None, RECORD, may_tell=lambda: True, journal=journal)  # type: ignore[arg-type]  # never asked
    hearing = Hearing(publisher)
    for number in range(MANY):
        hearing.take(PageEvent(kind=PageEventKind.STATE_HINT, data={"source": "x"}))
        hearing.take(_message(number))
    hearing.take(_message(MANY, from_me=True))  # our own, which nobody is told
    assert (journal.waiting, hearing.active, hearing.look_again.is_set()) == (MANY, True, True)
    assert await publisher.drained(timeout_s=0)
    assert publisher.lost == 0
    assert journal.close() == MANY


async def test_the_end_of_the_login_is_heard() -> None:
    hearing = Hearing(Publisher(None, RECORD, may_tell=lambda: True))  # type: ignore[arg-type]  # never asked
    hearing.take(PageEvent(kind=PageEventKind.LOGGED_OUT, data={"reason": None}))
    await asyncio.wait_for(hearing.logged_out.wait(), 1)
