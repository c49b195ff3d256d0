"""The registry as one value: every part of it over one connection."""

from daemon.core.settings import Settings
from daemon.registry.codes import Codes
from daemon.registry.commands import Commands
from daemon.registry.copies import HotCopies
from daemon.registry.dead_letters import DeadLetters
from daemon.registry.drains import Drains
from daemon.registry.epoch import Epochs
from daemon.registry.event_log import EventLog
from daemon.registry.events import EventStream
from daemon.registry.exits import Exits
from daemon.registry.incarnations import Incarnations
from daemon.registry.jobs import Jobs
from daemon.registry.leases import Leases
from daemon.registry.link import RedisLink
from daemon.registry.looks import Looks
from daemon.registry.membership import Membership
from daemon.registry.outbox import Outbox
from daemon.registry.parked import Parked
from daemon.registry.records import Records
from daemon.registry.sends import Sends
from daemon.registry.tokens import Tokens
from daemon.registry.tombstones import Tombstones
from daemon.registry.uploads import Uploads
from daemon.registry.wakes import Wakes


class Registry:
    """All of what is in Redis."""

    def __init__(self, settings: Settings) -> None:
        self.link = RedisLink(settings.redis)
        self.records = Records(self.link)
        self.epochs = Epochs(self.link)
        self.leases = Leases(self.link, ttl_ms=settings.shard.lease_ttl_ms, epochs=self.epochs)
        self.copies = HotCopies(self.link)
        self.codes = Codes(self.link)
        self.shards = Membership(self.link)
        self.commands = Commands(self.link, max_age_ms=settings.coordinator.command_timeout_ms)
        self.events = EventStream(self.link, events_max=settings.webhook.events_max)
        self.outbox = Outbox(
            self.link, events_max=settings.webhook.events_max, dead_letters_max=settings.webhook.dead_letters_max
        )
        self.parked = Parked(self.link, self.outbox)
        self.dead_letters = DeadLetters(self.link)
        self.jobs = Jobs(self.link)
        self.sends = Sends(self.link, keep_ms=settings.send.idempotency_ms)
        self.looks = Looks(self.link, self.epochs, self.sends)
        self.event_log = EventLog(self.link)
        self.tokens = Tokens(self.link)
        self.uploads = Uploads(self.link)
        self.tombstones = Tombstones(self.link)
        self.exits = Exits(self.link)
        self.wakes = Wakes(self.link)
        self.drains = Drains(self.link)
        self.incarnations = Incarnations(self.link)

    async def close(self) -> None:
        """Close the connection."""
        await self.link.close()
