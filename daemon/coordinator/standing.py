"""How each shard stands: whether it lives, takes sessions, may still come back, or has lost what it had. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from daemon.registry.drains import Drain
from daemon.registry.seen import SeenShard

FORGET_AFTER_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Stand:
    """One shard. Two stands are equal when they lead to the same plan."""

    name: str
    incarnation: str | None = None
    alive: bool = False
    open: bool = False
    """It lives and takes sessions."""
    in_grace: bool = False
    """It is gone, and its sessions wait for it."""
    dead_holder: str = ""
    """What the leases of its last dead process begin with."""
    draining: bool = False
    long_gone: bool = False
    """It has been gone for so long that it will not come back."""
    capacity: int = field(default=0, compare=False)
    drain: Drain | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Stands:
    """All shards. With `hurried`, only those that crashed lately take sessions: nothing is moved there by choice."""

    shards: Mapping[str, Stand]
    hurried: bool = False


def stands_of(shards: Sequence[SeenShard], gone_for_s: Mapping[str, float], *, grace_s: float, now: datetime) -> Stands:
    """Return how the shards stand. `gone_for_s` has the seconds since when each one that is not alive has been gone.

    One that crashed has lost its sessions at once; one that was stopped on purpose, or is silent, is waited for; one
    that is being drained is not. Of shards that are told to stop together, none is waited for less than the last. If
    only shards that crashed lately are left, those take new sessions after all, but what is placed waits for its own
    shard first.
    """
    cooling = {shard.name for shard in shards if shard.cools(now)}
    ready = {shard.name for shard in shards if _takes_sessions(shard)}
    hurried = bool(ready) and not ready - cooling
    open_names = ready if hurried else ready - cooling
    stands = {}
    for shard in shards:
        gone_s = gone_for_s.get(shard.name, 0.0)
        waited_s = _told_to_stop_for_s(shard, shards, gone_for_s) if _told_to_stop(shard) else gone_s
        waits = not shard.crashed or hurried
        stands[shard.name] = Stand(
            name=shard.name,
            incarnation=shard.process.incarnation if shard.process else None,
            alive=shard.alive,
            open=shard.name in open_names,
            in_grace=not shard.alive and shard.drain is None and waits and waited_s < grace_s,
            dead_holder=shard.dead_holder,
            draining=shard.drain is not None,
            long_gone=not shard.alive and shard.drain is None and gone_s >= FORGET_AFTER_S,
            capacity=shard.heartbeat.capacity if shard.heartbeat else 0,
            drain=shard.drain,
        )
    return Stands(shards=stands, hurried=hurried)


def with_unknown(stands: Stands, unknown_for_s: Mapping[str, float], *, grace_s: float) -> Stands:
    """Return the stands with shards that are not known but have sessions: they are waited for as silent ones are."""
    if not unknown_for_s:
        return stands
    unknown = {name: Stand(name=name, in_grace=gone_s < grace_s) for name, gone_s in unknown_for_s.items()}
    return replace(stands, shards={**stands.shards, **unknown})


def _told_to_stop(shard: SeenShard) -> bool:
    return shard.ended and not shard.crashed


def _told_to_stop_for_s(shard: SeenShard, shards: Sequence[SeenShard], gone_for_s: Mapping[str, float]) -> float:
    """Return for how long all shards of a host that were told to stop have been gone.

    supervisord starts a group again only when all of it has stopped, and the last of them may need most of
    SHUTDOWN_TIMEOUT_MS for its backups: the others are not late before that.
    """
    host = shard.process.host if shard.process else None
    peers = [other for other in shards if other.process is not None and other.process.host == host]
    if any(peer.alive and peer.heartbeat is not None and peer.heartbeat.stopping for peer in peers):
        return 0.0
    return min(gone_for_s.get(peer.name, 0.0) for peer in peers if _told_to_stop(peer))


def _takes_sessions(shard: SeenShard) -> bool:
    beat = shard.heartbeat
    if beat is None or not shard.alive or shard.drain is not None:
        return False
    return not (beat.stopping or beat.full)
