"""Summaries of all sessions: the few fields of each record that the reconcile loop needs, read in pages."""

from collections.abc import Sequence

import structlog

from daemon.registry import keys
from daemon.registry.link import RedisLink
from daemon.sessions.states import Desired, SessionState
from daemon.sessions.summary import Summary

log = structlog.get_logger()

_FIELDS = (
    "session_id",
    "workspace_id",
    "desired",
    "serial",
    "status",
    "shard",
    "moving_from",
    "runs_on",
    "unsaved",
    "token",
    "void_token",
    "marked",
)
_DESIRED = {str(desired): desired for desired in Desired}
_STATUS = {str(status): status for status in SessionState}


async def read_summaries(link: RedisLink, *, page_size: int = 1000) -> tuple[Summary, ...]:
    """Return a summary of every record, in the order of their ids; one that cannot be read is left out and told.

    Raises:
        RedisUnavailableError: nobody knows.
    """
    found: list[Summary] = []
    after: str | None = None
    while True:
        async with link.asking("list sessions"):
            start = f"({after}" if after else "-"
            ids: list[str] = await link.text.zrangebylex(keys.INDEX, start, "+", start=0, num=page_size)
        found += await summaries_of(link, ids)
        if len(ids) < page_size:
            return tuple(found)
        after = ids[-1]


async def summaries_of(link: RedisLink, session_ids: Sequence[str]) -> list[Summary]:
    """Return the summaries of those of these sessions that exist, in one round trip.

    Raises:
        RedisUnavailableError: nobody knows.
    """
    if not session_ids:
        return []
    async with link.asking("read sessions"):
        pipe = link.text.pipeline(transaction=False)
        for session_id in session_ids:
            pipe.hmget(keys.record(session_id), _FIELDS)
        answers = await pipe.execute()
    return [found for values in answers if values[0] and (found := _parse(values)) is not None]


def _parse(values: Sequence[str | None]) -> Summary | None:
    read = dict(zip(_FIELDS, values, strict=True))
    session_id = read["session_id"]
    try:
        return Summary(
            session_id=session_id or "",
            workspace_id=read["workspace_id"] or "",
            desired=_DESIRED[read["desired"] or Desired.RUNNING],
            serial=int(read["serial"] or 0),
            status=_STATUS[read["status"] or SessionState.PENDING],
            shard=read["shard"] or None,
            moving_from=read["moving_from"] or None,
            runs_on=read["runs_on"] or None,
            unsaved=read["unsaved"] or None,
            token=int(read["token"] or 0),
            void_token=int(read["void_token"] or 0),
            marked=read["marked"] or None,
        )
    except (KeyError, ValueError) as error:
        # One record that cannot be read must not keep all other sessions from being placed.
        log.error("session record cannot be read, it is not placed", session_id=session_id, error=type(error).__name__)
        return None
