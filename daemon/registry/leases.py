"""Leases: the time-limited exclusive right to run one session, and its fencing token.

Redis keeps the TTL. The holder keeps its own monotonic deadline (see shards/leases.py): read before the call that
renews, so it never believes longer than Redis does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.core.errors import LeaseHeldError
from daemon.registry import keys
from daemon.registry.link import RedisLink, redis_errors


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A lease that was granted: `token` is above all earlier ones of this session."""

    session_id: str
    holder: str
    token: int


class Leases:
    """Leases in Redis."""

    def __init__(self, link: RedisLink, *, ttl_ms: int) -> None:
        self._link = link
        self.ttl_ms = ttl_ms

    async def acquire(self, session_id: str, holder: str, *, floor: int = 0, dead_prefix: str = "") -> Lease:
        """Take the lease.

        `floor` is the highest token seen elsewhere (the archive catalogue), for a Redis that lost its data.
        `dead_prefix` names holders that are proven dead: earlier processes of the same shard, whose lock we have.

        Raises:
            LeaseHeldError: another holder has it; look again after its TTL.
            RedisUnavailableError: nobody knows; it may even have been granted, and then runs out by itself.
        """
        granted, answer = await self._link.run(
            "acquire", [keys.lease(session_id), keys.token(session_id)], [holder, self.ttl_ms, floor, dead_prefix]
        )
        if not granted:
            raise LeaseHeldError(
                "another holder has the lease", session_id=session_id, holder=str(answer).partition("|")[0]
            )
        return Lease(session_id=session_id, holder=holder, token=int(answer))

    async def renew(self, leases: Sequence[Lease]) -> list[bool]:
        """Prolong leases in one round trip; False for each that is lost.

        Raises:
            RedisUnavailableError: nobody knows; the old deadlines still stand.
        """
        if not leases:
            return []
        answers = await self._link.run_many(
            "renew",
            [([keys.lease(x.session_id), keys.token(x.session_id)], [x.holder, x.token, self.ttl_ms]) for x in leases],
        )
        return [answer == 1 for answer in answers]

    async def release(self, lease: Lease) -> bool:
        """Give a lease back after the session has ended; False if it was lost before."""
        answer = await self._link.run("release", [keys.lease(lease.session_id)], [lease.holder, lease.token])
        return bool(answer)

    async def known_token(self, session_id: str) -> int | None:
        """Return the highest token given so far, or None when Redis knows none (a new session, or lost data)."""
        with redis_errors("read a token"):
            text = await self._link.text.get(keys.token(session_id))
        return int(text) if text is not None else None

    async def held(self, session_ids: Sequence[str]) -> set[str]:
        """Return which of the sessions somebody holds now."""
        if not session_ids:
            return set()
        with redis_errors("read leases"):
            pipe = self._link.text.pipeline(transaction=False)
            for session_id in session_ids:
                pipe.exists(keys.lease(session_id))
            answers = await pipe.execute()
        return {session_id for session_id, answer in zip(session_ids, answers, strict=True) if answer}
