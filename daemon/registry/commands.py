"""Commands to shards: a stream and a set of claims for each shard, a reply for each command.

The stream is read at least once (an entry stays pending until it is dropped, also across a kill -9 of the shard); the
claim makes it happen at most once. Claims have no TTL, or a full Redis would drop them: each takes old ones along.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis.exceptions import ResponseError

from daemon.core.ids import new_id
from daemon.registry import keys
from daemon.registry.link import RedisLink
from daemon.sessions.commands import Command, CommandKind, Outcome, Reply

_GROUP = "shard"
_REMEMBER_MS = 3_600_000
"""Far longer than anybody waits for a reply, and than a command may be old to be begun."""
_STREAM_MAX = 10_000


class Claim(StrEnum):
    """What trying to claim a command said."""

    MINE = "mine"
    TAKEN = "taken"
    """The other side decided first, or this shard's earlier process began it."""
    TOO_OLD = "too_old"


@dataclass(frozen=True, kw_only=True)
class Received:
    """A command as it came out of the stream."""

    entry_id: str
    command: Command

    @property
    def given_at_ms(self) -> int:
        """When it was given, in milliseconds of Redis' clock."""
        return int(self.entry_id.partition("-")[0])


class Commands:
    """Command streams in Redis."""

    def __init__(self, link: RedisLink, *, max_age_ms: int) -> None:
        self._link = link
        self._max_age_ms = max_age_ms

    async def give(self, shard: str, kind: CommandKind, session_id: str, arguments: Mapping[str, Any]) -> Command:
        """Put a command into a shard's stream and return it; `wait` gives the answer."""
        command = Command(command_id=new_id("cmd"), shard=shard, kind=kind, session_id=session_id, arguments=arguments)
        fields: dict[Any, Any] = {
            "command_id": command.command_id,
            "kind": kind.value,
            "session_id": session_id,
            "arguments": json.dumps(dict(arguments)),
        }
        async with self._link.asking("take a command"):
            await self._link.text.xadd(keys.commands(shard), fields, maxlen=_STREAM_MAX, approximate=True)
        return command

    async def wait(self, command: Command, *, timeout_s: float) -> Reply | None:
        """Return the reply, or None when none came in time.

        Raises:
            RedisUnavailableError: Redis went away while waiting: the outcome is unknown.
        """
        key = keys.command_reply(command.command_id)
        async with self._link.waiting("give a reply", waits_s=timeout_s) as client:
            found = await client.blpop([key], timeout=timeout_s)
        return _reply_from_text(found[1]) if found else None

    async def claim(self, command: Command, *, given_at_ms: int = 0) -> Claim:
        """Decide a command's fate, if nobody did before.

        The shard gives `given_at_ms` and is refused when the command is older than anybody would wait for; the
        coordinator that gives up waiting leaves it 0.
        """
        max_age_ms = self._max_age_ms if given_at_ms else 0
        answer = await self._link.run(
            "claim", [keys.claims(command.shard)], [command.command_id, given_at_ms, max_age_ms, _REMEMBER_MS]
        )
        return {1: Claim.MINE, 0: Claim.TAKEN}.get(int(answer), Claim.TOO_OLD)

    async def reply(self, command_id: str, reply: Reply) -> None:
        """Answer a command."""
        key = keys.command_reply(command_id)
        await self._link.together("take a reply", ("LPUSH", key, _reply_to_text(reply)), ("PEXPIRE", key, _REMEMBER_MS))

    async def join(self, shard: str) -> None:
        """Create the shard's stream and group if missing."""
        async with self._link.asking("make a command stream"):
            try:
                await self._link.text.xgroup_create(keys.commands(shard), _GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def pending(self, shard: str) -> list[Received]:
        """Return what an earlier process of this shard took and did not drop."""
        async with self._link.asking("read pending commands"):
            answer = await self._link.text.xreadgroup(_GROUP, shard, {keys.commands(shard): "0"}, count=1000)
        return _received(shard, answer)

    async def take(self, shard: str, *, block_ms: int) -> list[Received]:
        """Wait up to `block_ms` for new commands."""
        async with self._link.waiting("read commands", waits_s=block_ms / 1000) as client:
            answer = await client.xreadgroup(_GROUP, shard, {keys.commands(shard): ">"}, count=100, block=block_ms)
        return _received(shard, answer)

    async def drop(self, shard: str, entry_id: str) -> None:
        """Acknowledge and remove a command whose reply is written."""
        key = keys.commands(shard)
        await self._link.together("drop a command", ("XACK", key, _GROUP, entry_id), ("XDEL", key, entry_id))


def entries(answer: Any) -> list[tuple[str, dict[str, str]]]:
    """Return (entry id, fields) of one stream from an XREAD answer, in either protocol version's shape."""
    if not answer:
        return []
    streams = answer.values() if isinstance(answer, dict) else [stream[1] for stream in answer]
    found: list[tuple[str, dict[str, str]]] = []
    for stream in streams:
        batch = stream[0] if stream and isinstance(stream[0], list) else stream
        found += [(entry_id, fields) for entry_id, fields in batch if fields]
    return found


def _received(shard: str, answer: Any) -> list[Received]:
    return [Received(entry_id=entry_id, command=_command(shard, fields)) for entry_id, fields in entries(answer)]


def _command(shard: str, fields: Mapping[str, str]) -> Command:
    try:
        kind, arguments = CommandKind(fields["kind"]), json.loads(fields["arguments"])
    except ValueError:
        # From a newer coordinator. Whoever raised here would stop at this entry, and again after each restart.
        kind, arguments = CommandKind.UNKNOWN, {"kind": fields["kind"]}
    return Command(
        command_id=fields["command_id"],
        shard=shard,
        kind=kind,
        session_id=fields["session_id"],
        arguments=arguments,
    )


def _reply_to_text(reply: Reply) -> str:
    return json.dumps(
        {
            "outcome": reply.outcome.value,
            "result": dict(reply.result),
            "code": reply.code,
            "message": reply.message,
        }
    )


def _reply_from_text(text: str) -> Reply:
    raw = json.loads(text)
    return Reply(outcome=Outcome(raw["outcome"]), result=raw["result"], code=raw["code"], message=raw["message"])
