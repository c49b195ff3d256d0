"""What has to be known before a command is given to a session's shard, in one round trip.

On which shard a session is can be told only by its record; the shard it was on at the last look is asked for on trust.
"""

from dataclasses import dataclass

from daemon.core.errors import SessionNotFoundError
from daemon.registry import keys
from daemon.registry.codec import record_from_fields
from daemon.registry.epoch import Epoch, Epochs
from daemon.registry.exits import report_from_text
from daemon.registry.link import RedisLink
from daemon.registry.membership import heartbeat_from_text
from daemon.registry.seen import SeenShard
from daemon.registry.sends import Sends
from daemon.sessions.record import SessionRecord

_REMEMBERED = 20_000


@dataclass(frozen=True, kw_only=True)
class Look:
    """One session as it was a moment ago."""

    record: SessionRecord
    shard_lives: bool | None = None
    """Whether the record's shard lives; None if it was not asked."""
    epoch: Epoch | None = None
    """The epoch of Redis' data, and the session is noted as one that has keys; None if it was not asked."""


class Looks:
    """Looks at sessions. It remembers of each where it was last."""

    def __init__(self, link: RedisLink, epochs: Epochs, sends: Sends) -> None:
        self._link = link
        self._epochs = epochs
        self._sends = sends
        self._last: dict[str, str] = {}

    async def look(self, session_id: str, *, keyed: bool) -> Look:
        """Return the session's record, and what else could be asked with it; `keyed`: a key of it will be begun.

        Raises:
            SessionNotFoundError: Redis answered that there is none.
            RedisUnavailableError: nobody knows.
        """
        commands: list[tuple[str, ...]] = [("HGETALL", keys.record(session_id))]
        shard = self._last.get(session_id)
        if shard is not None:
            commands += _signs_of_life(shard)
        # Only of a session that was there lately, so that nobody fills the index with names; on a cluster its masters
        # have to be asked for their ids first.
        with_keys = keyed and shard is not None and self._link.kind != "cluster"
        calls = [self._epochs.question(), self._sends.note(session_id)] if with_keys else []
        fields, *answers = await self._link.ask("read a session", commands, calls)
        self._last.pop(session_id, None)
        if not fields:
            raise SessionNotFoundError("no such session", session_id=session_id)
        record = record_from_fields(session_id, fields)
        self._remember(record)
        return Look(
            record=record,
            shard_lives=_lives(shard, *answers[:2]) if shard is not None and shard == record.shard else None,
            epoch=self._epochs.heard(answers[2]) if with_keys else None,
        )

    async def lives(self, shard: str) -> bool:
        """Whether a shard lives, as far as anybody knows.

        Raises:
            RedisUnavailableError: nobody knows.
        """
        return _lives(shard, *await self._link.ask("read a heartbeat", _signs_of_life(shard)))

    def _remember(self, record: SessionRecord) -> None:
        if record.shard is not None:
            self._last[record.session_id] = record.shard
        if len(self._last) > _REMEMBERED:
            del self._last[next(iter(self._last))]


def _signs_of_life(shard: str) -> list[tuple[str, ...]]:
    return [("GET", keys.heartbeat(shard)), ("GET", keys.exit_report(shard))]


def _lives(shard: str, heartbeat: str | None, report: str | None) -> bool:
    if not heartbeat or not report:
        return bool(heartbeat)
    seen = SeenShard(name=shard, heartbeat=heartbeat_from_text(heartbeat), exit=report_from_text(report))
    return seen.alive
