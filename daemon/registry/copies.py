"""Hot copies: the newest small snapshot of each session, kept in Redis for the fastest restore."""

from collections.abc import Sequence

from daemon.registry import keys
from daemon.registry.codec import to_text
from daemon.registry.link import RedisLink
from daemon.registry.records import check_held_answer
from daemon.sessions.record import CopyFacts

HOT_COPY_TTL_MS = 30 * 86400 * 1000
"""A TTL only so that `volatile-lru` may evict it under memory pressure; the archive in R2 remains.

Without archives there is none: then the hot copy is all there is.
"""
HEAD_BYTES = 512
"""No head of a hot copy, encrypted or not, is longer."""


class HotCopies:
    """Hot copies in Redis."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def put(self, session_id: str, token: int, body: bytes, facts: CopyFacts, *, evictable: bool = True) -> None:
        """Replace the hot copy and the record's facts about it, both or neither.

        `evictable` says that Redis may drop it when memory is short, as an archive exists.

        Raises:
            StaleTokenError: a newer holder exists; nothing was changed.
            SessionNotFoundError: the session was deleted.
        """
        answer = await self._link.run_binary(
            "put_hot_copy",
            _keys(session_id),
            [token, body, HOT_COPY_TTL_MS if evictable else 0, to_text(facts)],
        )
        check_held_answer(answer, session_id, token)

    async def get(self, session_id: str) -> bytes | None:
        """Return the hot copy, or None when Redis answered that there is none."""
        async with self._link.asking("read a hot copy"):
            body: bytes | None = await self._link.binary.get(keys.hot_copy(session_id))
        return body

    async def heads(self, session_ids: Sequence[str]) -> list[bytes | None]:
        """Return the first bytes of hot copies, which hold their clear heads; None: there is none."""
        if not session_ids:
            return []
        async with self._link.asking("read hot copies"):
            pipe = self._link.binary.pipeline(transaction=False)
            for session_id in session_ids:
                pipe.getrange(keys.hot_copy(session_id), 0, HEAD_BYTES - 1)
            found: list[bytes] = await pipe.execute()
        return [head or None for head in found]

    async def drop_held(self, session_id: str, token: int) -> None:
        """Remove the hot copy as the holder of the lease, once R2 has something newer that does not fit into Redis.

        Raises:
            StaleTokenError: a newer holder exists; nothing was changed.
            SessionNotFoundError: the session was deleted.
        """
        answer = await self._link.run("drop_hot_copy", _keys(session_id), [token])
        check_held_answer(answer, session_id, token)

    async def drop(self, session_id: str) -> None:
        """Remove the hot copy of a login that was ended on purpose."""
        async with self._link.asking("remove a hot copy"):
            await self._link.text.delete(keys.hot_copy(session_id))


def _keys(session_id: str) -> list[str]:
    return [
        keys.hot_copy(session_id),
        keys.record(session_id),
        keys.token(session_id),
        keys.seen_epoch(session_id),
    ]
