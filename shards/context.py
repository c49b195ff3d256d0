"""What every session on this shard shares, as one frozen value."""

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from daemon.core.settings import Settings
from daemon.objectstore.archives import Archives
from daemon.registry.registry import Registry
from shards.admission.admission import Admission
from shards.archive.keyring import Keyring
from shards.archive.unpack import UnpackLimits
from shards.identity import ShardIdentity
from shards.journal import Journals
from shards.leases import LeaseKeeper
from shards.profile.layout import ShardLayout
from shards.runner.engine import Engine


@dataclass(frozen=True, kw_only=True)
class ShardContext:
    """The shard's shared parts."""

    settings: Settings
    identity: ShardIdentity
    registry: Registry
    archives: Archives
    keeper: LeaseKeeper
    layout: ShardLayout
    notes_dir: Path
    """Where the process groups of running Chromiums are noted; not on the disk of the profiles, which may be lost."""
    journals: Journals
    engine: Engine
    keyring: Keyring
    """What archives and hot copies are encrypted with."""
    limits: UnpackLimits
    executor: Executor
    """Bounded threads for everything that blocks: file copies, zip, hashing."""
    admission: Admission
    """Lets sessions start as the host and this shard allow it; a slot is held until the page is loaded."""
    backup_slots: asyncio.Semaphore
    """How many snapshots may be taken at once."""

    @property
    def chromium(self) -> str:
        """Version of Chromium, as `156.0.8078.79`."""
        return self.engine.version
