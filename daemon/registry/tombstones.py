"""Tombstones: logins that were ended on purpose, whose archives are removed after a grace period."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from daemon.core.clock import iso, parse_iso
from daemon.registry import keys
from daemon.registry.link import RedisLink


@dataclass(frozen=True, kw_only=True)
class Tombstone:
    """Archives of this session with a token up to `void_token` may be removed some time after `at`."""

    session_id: str
    workspace_id: str
    void_token: int
    at: datetime


class Tombstones:
    """Tombstones in Redis."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def put(self, tombstone: Tombstone) -> None:
        """Write the tombstone of a session, in place of one that voids less; one that voids more stays."""
        asked: list[str | int] = [_field(tombstone), _body(tombstone), tombstone.void_token]
        await self._link.run("put_tombstone", [keys.TOMBSTONES], asked)

    async def get(self, workspace_id: str, session_id: str) -> Tombstone | None:
        """Return the tombstone of a session, or None."""
        async with self._link.asking("read a tombstone"):
            body = await self._link.text.hget(keys.TOMBSTONES, f"{workspace_id}/{session_id}")
        return _parse(body) if body else None

    async def all(self) -> list[Tombstone]:
        """Return all tombstones."""
        async with self._link.asking("read tombstones"):
            found = await self._link.text.hgetall(keys.TOMBSTONES)
        return [_parse(body) for body in found.values()]

    async def remove(self, tombstone: Tombstone) -> bool:
        """Remove a tombstone whose archives are gone; False if another one has come, which may void more."""
        asked = [_field(tombstone), _body(tombstone)]
        return bool(await self._link.run("remove_tombstone", [keys.TOMBSTONES], asked))


def _field(tombstone: Tombstone) -> str:
    return f"{tombstone.workspace_id}/{tombstone.session_id}"  # ids hold no slash


def _body(tombstone: Tombstone) -> str:
    return json.dumps(asdict(tombstone) | {"at": iso(tombstone.at)}, separators=(",", ":"))


def _parse(body: str) -> Tombstone:
    raw = json.loads(body)
    return Tombstone(**(raw | {"at": parse_iso(raw["at"])}))
