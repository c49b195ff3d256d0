"""Leader election: of several coordinators one reconciles. Losing it only delays work, as every step is repeatable."""

from daemon.registry import keys
from daemon.registry.registry import Registry

LEADER_TTL_MS = 10_000


class Leadership:
    """This coordinator's claim to lead."""

    def __init__(self, registry: Registry, who: str) -> None:
        self._registry = registry
        self._who = who
        self.leading = False

    async def keep(self) -> bool:
        """Become or stay leader; False when another one leads.

        Raises:
            RedisUnavailableError: nobody knows; do nothing this time.
        """
        self.leading = False
        self.leading = bool(await self._registry.link.run("keep_leader", [keys.LEADER], [self._who, LEADER_TTL_MS]))
        return self.leading
