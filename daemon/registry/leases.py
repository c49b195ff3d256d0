"""Leases: the time-limited exclusive right to run one session, and its fencing token.

Redis keeps the TTL. The holder keeps its own monotonic deadline (see shards/leases.py): read before the call that
renews, so it never believes longer than Redis does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from daemon.core.errors import (
    BlazzError,
    LeaseHeldError,
    RedisLostDataError,
    RedisUnavailableError,
    TokenUnprovenError,
)
from daemon.registry import keys
from daemon.registry.epoch import Epoch, Epochs
from daemon.registry.link import RedisLink

_JUMP = 1000
"""How far tokens jump when Redis may have forgotten some: nobody takes so many between two archives."""
_GRANTED, _HELD, _OTHER_SERVER, _FLOOR_NEEDED, _NOT_BEFORE = 1, 0, -1, -2, -3


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A lease that was granted: `token` is above all earlier ones of this session."""

    session_id: str
    holder: str
    token: int


class Renewal(StrEnum):
    """What a renewal said."""

    KEPT = "kept"
    REGAINED = "regained"
    """Ours again after Redis had lost it: the record must be written anew. Said at each renewal until it is."""
    LOST = "lost"
    UNKNOWN = "unknown"
    """The master of a cluster that has this lease did not answer: the old deadline still stands."""


class Leases:
    """Leases in Redis."""

    def __init__(self, link: RedisLink, *, ttl_ms: int, epochs: Epochs | None = None) -> None:
        self._link = link
        self._epochs = epochs or Epochs(link)
        self.ttl_ms = ttl_ms

    async def acquire(self, session_id: str, holder: str, *, floor: int | None = None, dead_prefix: str = "") -> Lease:
        """Take the lease.

        `floor` is the highest token in the archive catalogue, None when it was not asked. It matters for a session
        that is new to Redis, or of which Redis may have lost the last that happened.
        `dead_prefix` names holders that are proven dead: earlier processes of the same shard, whose lock we have.

        Raises:
            LeaseHeldError: another holder has it; look again after its TTL.
            TokenUnprovenError: give the floor.
            RedisLostDataError: an older holder that Redis has forgotten may still run it; look again after one TTL.
            RedisUnavailableError: nobody knows; it may even have been granted, and then runs out by itself.
        """
        # A floor comes after a refusal: then what was known of the epoch may be over.
        epoch = await (self._epochs.known() if floor is None else self._epochs.read())
        answer, value = await self._ask(session_id, holder, floor, dead_prefix, epoch)
        if answer not in {_GRANTED, _HELD}:
            epoch = await self._epochs.read()
            answer, value = await self._ask(session_id, holder, floor, dead_prefix, epoch)
        if answer == _GRANTED:
            return Lease(session_id=session_id, holder=holder, token=int(value))
        raise _refusal(answer, value, session_id)

    async def _ask(
        self, session_id: str, holder: str, floor: int | None, dead_prefix: str, epoch: Epoch
    ) -> tuple[int, str]:
        answer = await self._link.run(
            "acquire",
            [*_keys(session_id), keys.record(session_id)],
            [
                holder,
                self.ttl_ms,
                "" if floor is None else floor,
                dead_prefix,
                epoch.epoch_id,
                epoch.servers,
                epoch.age_ms,
                _JUMP,
                int(epoch.lost),
            ],
        )
        return int(answer[0]), str(answer[1]) if len(answer) > 1 else ""

    async def renew(self, leases: Sequence[Lease]) -> list[Renewal]:
        """Prolong leases in one round trip.

        Raises:
            RedisUnavailableError: nobody knows of any; the old deadlines still stand.
        """
        if not leases:
            return []
        answers = await self._link.run_many_apart(
            "renew",
            [(_keys(lease.session_id), [lease.holder, lease.token, self.ttl_ms]) for lease in leases],
        )
        return [Renewal.UNKNOWN if answer is None else _RENEWALS[int(answer)] for answer in answers]

    async def mark_lost(self, lease: Lease) -> None:
        """Have the next renewal say `regained`: Redis fell back to an earlier moment of the same run."""
        await self._link.run(
            "mark_lost", [keys.token(lease.session_id), keys.seen_epoch(lease.session_id)], [lease.token]
        )

    async def release(self, lease: Lease) -> bool:
        """Give a lease back after the session has ended; False if it was lost before."""
        answer = await self._link.run("release", [keys.lease(lease.session_id)], [lease.holder, lease.token])
        return bool(answer)

    async def known_token(self, session_id: str) -> int | None:
        """Return the highest token given so far, or None when Redis knows none (a new session, or lost data)."""
        async with self._link.asking("read a token"):
            text = await self._link.text.get(keys.token(session_id))
        return int(text) if text is not None else None

    async def held(self, session_ids: Sequence[str]) -> set[str]:
        """Return which of the sessions somebody holds now."""
        if not session_ids:
            return set()
        async with self._link.asking("read leases"):
            pipe = self._link.text.pipeline(transaction=False)
            for session_id in session_ids:
                pipe.exists(keys.lease(session_id))
            answers = await pipe.execute()
        return {session_id for session_id, answer in zip(session_ids, answers, strict=True) if answer}


def _keys(session_id: str) -> list[str]:
    return [keys.lease(session_id), keys.token(session_id), keys.seen_epoch(session_id)]


_RENEWALS = {1: Renewal.KEPT, 2: Renewal.REGAINED, 0: Renewal.LOST}


def _refusal(answer: int, value: str, session_id: str) -> BlazzError:
    if answer == _HELD:
        return LeaseHeldError("another holder has the lease", session_id=session_id, holder=value.partition("|")[0])
    if answer == _FLOOR_NEEDED:
        return TokenUnprovenError("Redis does not vouch for the session's token", session_id=session_id)
    if answer == _NOT_BEFORE:
        return RedisLostDataError(
            f"Redis was restarted, failed over or emptied: no lease for another {int(value) / 1000:.1f} s",
            hint="an older holder may still run the session; it is started once its lease must have run out",
            session_id=session_id,
        )
    return RedisUnavailableError("Redis is changing servers", session_id=session_id)
