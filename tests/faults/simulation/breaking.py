"""Deliberate breaks of the product, each of which the checker must find: else it would find no bug of ours either."""

from collections.abc import Callable, Mapping

import daemon.registry.link
from shards.guard.link import Guard
from shards.leases import LeaseKeeper


def no_guard() -> None:
    """Have no process beside the shard that ends browsers when the shard cannot."""
    Guard.start = lambda self: None  # type: ignore[method-assign]


def no_fencing() -> None:
    """Have shards trust their leases for ever: only their guards end a browser whose lease has run out."""
    LeaseKeeper._fence_overdue = lambda self: None  # type: ignore[method-assign]
    LeaseKeeper._fence = lambda self, item, reason: None  # type: ignore[method-assign]
    LeaseKeeper.valid = lambda self, lease: True  # type: ignore[method-assign]


def blind_writes() -> None:
    """Have Redis take writes of holders whose token is old."""
    text = daemon.registry.link._script_text

    def unchecked(name: str) -> str:
        script = text(name)
        return script.replace("known ~= tonumber(ARGV[1])", "false") if name == "write_held" else script

    daemon.registry.link._script_text = unchecked  # type: ignore[assignment]


def old_archives() -> None:
    """Have every restore overlook what is in Redis and on the disk, and so take an archive, however old."""
    from shards.restore.restorer import Restorer

    async def nothing(self: Restorer) -> None:
        return None

    async def no_profile(self: Restorer, profile_dir: object) -> tuple[None, bool]:
        return None, False

    Restorer._hot_copy = nothing  # type: ignore[method-assign]
    Restorer._local = no_profile  # type: ignore[method-assign]


BREAKS: Mapping[str, Callable[[], None]] = {
    "no_guard": no_guard,
    "no_fencing": no_fencing,
    "blind_writes": blind_writes,
    "old_archives": old_archives,
}
