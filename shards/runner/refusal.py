"""Telling that WhatsApp did not take a restored login."""

import structlog

from daemon.sessions.events import EventKind
from shards.publisher import Publisher
from shards.restore.restored import Restored
from shards.runner.ending import LOGIN_NOT_ACCEPTED

log = structlog.get_logger()


async def tell_refused(publisher: Publisher, restored: Restored, *, trying_older: bool) -> None:
    """Log it and tell it as an event. `restored` is a copy whose order is known."""
    assert restored.order is not None
    token, generation = restored.order
    log.error("restored login was not taken", order=restored.order, trying_older=trying_older)
    data = {
        "source": restored.source,
        "token": token,
        "generation": generation,
        "code": LOGIN_NOT_ACCEPTED.reason,
        "message": "WhatsApp did not take the restored login",
        "trying_older": trying_older,
    }
    await publisher.tell(EventKind.RESTORE_FAILED, data)
