"""A shard beats on while Redis is away: one that is late to be seen again loses its sessions to another shard."""

import asyncio
from pathlib import Path

import pytest

from daemon.core.errors import RedisUnavailableError
from daemon.core.settings import load_settings
from daemon.registry.membership import Heartbeat
from shards.admission.start import starts_of
from shards.heartbeat import HeartbeatLoop
from shards.identity import ShardIdentity

FAILING = 12
"""Were the pause doubled at each, as in other loops, they would take more than a minute."""
SETTINGS = {
    "SHARD_HEARTBEAT_INTERVAL_MS": "100",
    "R2_ENDPOINT": "http://127.0.0.1:1",
    "R2_ACCESS_KEY_ID": "key",
    "R2_SECRET_ACCESS_KEY": "secret",
    "API_TOKEN": "token-of-more-than-16-characters",
}


class Away:
    """Plays the membership in Redis: away for the first `FAILING` beats."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self.tries = 0

    async def beat(self, heartbeat: Heartbeat, *, ttl_ms: int) -> None:
        self.tries += 1
        if self.tries <= FAILING:
            raise RedisUnavailableError("away")
        self._stop.set()


async def test_the_pause_between_beats_does_not_grow_while_redis_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    settings = load_settings()
    stop = asyncio.Event()
    membership = Away(stop)
    with ShardIdentity("shard_00", tmp_path / "run") as identity:
        loop = HeartbeatLoop(membership, identity, settings.shard, starts_of(settings), count_sessions=lambda: 0)
        await asyncio.wait_for(loop.run(stop), 15)
    assert membership.tries == FAILING + 1
