"""Wakes for the coordinators: a short stream that says "look now", so that what they look at can be read less often.

A wake carries no orders and may get lost: everything that it is about is found by the next look as well.
"""

from dataclasses import dataclass

from daemon.registry import keys
from daemon.registry.commands import entries
from daemon.registry.link import RedisLink

_LENGTH = 100
_TAKEN_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class Wake:
    """One reason to look; ids are empty when they do not matter."""

    why: str
    session_id: str = ""
    shard: str = ""


class Wakes:
    """The stream of wakes in Redis."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def wake(self, why: str, session_id: str = "", *, shard: str = "") -> None:
        """Wake every coordinator.

        Raises:
            RedisUnavailableError: they may or may not have been woken.
        """
        named = {"why": why, "session_id": session_id, "shard": shard}
        fields = {name: value for name, value in named.items() if value}
        async with self._link.asking("take a wake"):
            await self._link.text.xadd(keys.WAKES, fields, maxlen=_LENGTH, approximate=True)

    async def last_id(self) -> str:
        """Return the id of the newest wake: where somebody begins who has just looked at everything.

        Raises:
            RedisUnavailableError: nobody knows.
        """
        async with self._link.asking("read wakes"):
            newest = await self._link.text.xrevrange(keys.WAKES, count=1)
        return str(newest[0][0]) if newest else "0-0"

    async def wait(self, last_id: str, block_ms: int) -> tuple[str, list[Wake]]:
        """Wait up to `block_ms` (at least 1) for wakes after `last_id`; return the new last id and the wakes.

        Begin with `last_id()`, or with "$", which is the same.

        Raises:
            RedisUnavailableError: some may have been missed; look at everything.
        """
        # Asked here, because with "$" Redis would tell no id when nothing comes, and the next call would leave a gap.
        after = await self.last_id() if last_id == "$" else last_id
        async with self._link.waiting("read wakes", waits_s=block_ms / 1000) as client:
            answer = await client.xread({keys.WAKES: after}, count=_TAKEN_AT_ONCE, block=max(1, block_ms))
        found = entries(answer)
        return (found[-1][0] if found else after), [_parse(fields) for _, fields in found]


def _parse(fields: dict[str, str]) -> Wake:
    return Wake(why=fields.get("why", ""), session_id=fields.get("session_id", ""), shard=fields.get("shard", ""))
