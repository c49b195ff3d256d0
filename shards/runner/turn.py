"""Waiting for the turn to start, unless a stop comes first."""

import asyncio
from datetime import datetime
from typing import Any

from daemon.core.loops import cancel_all
from shards.admission.admission import Admission, Slot


async def wait_for_turn(
    admission: Admission, session_id: str, *, active_at: datetime | None, stop: asyncio.Future[Any]
) -> Slot | None:
    """Return the slot, which is the caller's to leave; None when `stop` was done first."""
    entering = asyncio.ensure_future(admission.enter(session_id, active_at=active_at))
    first: list[asyncio.Future[Any]] = [entering, stop]
    taken = False
    try:
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        taken = entering.done()
        return entering.result() if taken else None
    finally:
        if not taken:
            await cancel_all([entering])
            if not entering.cancelled() and entering.exception() is None:
                entering.result().leave()
