"""Bytes of media on their way between HTTP and a shard: in Redis for minutes, never part of a command or a log."""

from daemon.core.ids import new_id
from daemon.registry import keys
from daemon.registry.link import RedisLink


class Uploads:
    """Media on the way."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def put(self, session_id: str, content: bytes, *, keep_ms: int, upload: str | None = None) -> str:
        """Store bytes for `keep_ms` and return the name under which they lie; memory pressure may evict them.

        Raises:
            RedisUnavailableError: nothing is known; put them again under a new name.
        """
        upload = upload or new_id("upl")
        async with self._link.asking("take media"):
            await self._link.binary.set(keys.upload(session_id, upload), content, px=keep_ms)
        return upload

    async def get(self, session_id: str, upload: str) -> bytes | None:
        """Return the bytes, or None when Redis answered that they are gone."""
        async with self._link.asking("give media"):
            content: bytes | None = await self._link.binary.get(keys.upload(session_id, upload))
        return content

    async def drop(self, session_id: str, upload: str) -> None:
        """Remove the bytes."""
        async with self._link.asking("remove media"):
            await self._link.text.unlink(keys.upload(session_id, upload))
