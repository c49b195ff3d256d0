"""The epoch of Redis' data: what tells "Redis lost its last seconds" from "nothing happened".

Every restart, fail-over and restored dump brings another server process (another `run_id`), and an emptied Redis has no
epoch: both begin a new one. What was written under an older epoch may be older than what its writer knows.
"""

from dataclasses import dataclass
from typing import Any

import structlog

from daemon.core.ids import new_id
from daemon.registry import keys
from daemon.registry.link import Call, RedisLink

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch, as it was when it was read."""

    epoch_id: str
    servers: str
    """The `run_id` of each server, joined by commas."""
    age_ms: int
    lost: bool
    """Something may have been lost when it began; False when Redis was new, as far as anybody knows."""


class Epochs:
    """The present epoch, kept until it is known to be over."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._known: Epoch | None = None

    async def known(self) -> Epoch:
        """Return the epoch that was read last; whoever uses it has Redis compare it."""
        return self._known or await self.read()

    async def read(self) -> Epoch:
        """Ask Redis, and begin a new epoch if the old one is over.

        Raises:
            RedisUnavailableError: nobody knows.
        """
        servers = ",".join(await self._link.server_ids()) if self._link.kind == "cluster" else ""
        script, names, args = self.question(servers)
        return self.heard(await self._link.run(script, names, args))

    def question(self, servers: str = "") -> Call:
        """Return what `read` asks; where Redis is one server it is asked without naming `servers`."""
        known = self._known.epoch_id if self._known else ""
        return "keep_epoch", [keys.EPOCH], [servers, new_id("epoch"), known]

    def heard(self, answer: Any) -> Epoch:
        """Take the answer to `question`."""
        epoch_id, servers, age_ms, lost = answer
        epoch = Epoch(epoch_id=str(epoch_id), servers=str(servers), age_ms=int(age_ms), lost=lost == "1")
        if self._known is not None and self._known.epoch_id != epoch.epoch_id:
            log.warning("Redis was restarted, failed over or emptied; what it says is checked", epoch=epoch.epoch_id)
        self._known = epoch
        return epoch

    async def recovered(self) -> str | None:
        """Return the id of the epoch in which lost sessions were looked for last, None for never."""
        async with self._link.asking("read an epoch"):
            found: str | None = await self._link.text.get(keys.RECOVERED)
        return found

    async def set_recovered(self, epoch: Epoch) -> None:
        """Note that lost sessions were looked for in this epoch."""
        async with self._link.asking("note an epoch"):
            await self._link.text.set(keys.RECOVERED, epoch.epoch_id)
