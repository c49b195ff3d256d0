"""Asking a shard to do something once, and never confusing "not done" with "nobody knows"."""

from collections.abc import Mapping
from typing import Any

from daemon.coordinator.seeing import lives
from daemon.core.errors import (
    ActionFailedError,
    BlazzError,
    MediaNotFoundError,
    MediaTooLargeError,
    MessageNotFoundError,
    OutcomeUnknownError,
    RecipientUnknownError,
    RedisUnavailableError,
    SendQueueFullError,
    SessionNotConnectedError,
    ShardUnavailableError,
)
from daemon.registry.commands import Claim
from daemon.registry.registry import Registry
from daemon.sessions.commands import Command, CommandKind, Outcome, Reply
from daemon.sessions.record import SessionRecord

_LOOK_FIRST = "it may have happened: look at the session, or at the chat, before asking again"


async def ask_shard(
    registry: Registry, record: SessionRecord, kind: CommandKind, arguments: Mapping[str, Any], *, timeout_s: float
) -> Mapping[str, Any]:
    """Have the session's shard carry out a command and return its result. Raises as `give` and `result_of` do."""
    command = await give(registry, record, kind, arguments)
    return await result_of(registry, record, command, timeout_s=timeout_s)


async def give(
    registry: Registry,
    record: SessionRecord,
    kind: CommandKind,
    arguments: Mapping[str, Any],
    *,
    shard_lives: bool | None = None,
) -> Command:
    """Put a command into the stream of the session's shard; `result_of` waits for what becomes of it.

    `shard_lives` is what is known of the shard from a moment ago; None has it looked at.

    Raises:
        ShardUnavailableError: nobody has begun it, and nobody will.
        RedisUnavailableError: `ids["outcome"]` is `unknown` if it may be in the stream.
    """
    if shard_lives is None:
        shard_lives = await lives(registry, record.shard)
    if record.shard is None or not shard_lives:
        raise ShardUnavailableError("the session's shard is down", outcome="not_sent", **_ids(record))
    try:
        return await registry.commands.give(record.shard, kind, record.session_id, arguments)
    except RedisUnavailableError as error:
        error.ids |= {"outcome": "unknown"}  # it may be in the stream
        raise


async def result_of(
    registry: Registry, record: SessionRecord, command: Command, *, timeout_s: float
) -> Mapping[str, Any]:
    """Wait for a command to be carried out and return its result.

    Raises:
        ShardUnavailableError: nobody has begun it, and nobody will.
        OutcomeUnknownError: it was begun, or Redis went away: it may have happened.
        SessionNotConnectedError, ActionFailedError and others: the shard answered that it did not happen.
    """
    ids = _ids(record)
    reply = await _reply_or_settle(registry, command, timeout_s, ids)
    if reply.outcome is Outcome.DONE:
        return reply.result
    raise _error_of(reply, ids)


def _ids(record: SessionRecord) -> dict[str, Any]:
    return {"session_id": record.session_id, "shard": record.shard, "state": record.status}


async def _reply_or_settle(registry: Registry, command: Command, timeout_s: float, ids: Mapping[str, Any]) -> Reply:
    try:
        reply = await registry.commands.wait(command, timeout_s=timeout_s)
        if reply is not None:
            return reply
        if await registry.commands.claim(command) is Claim.MINE:
            raise ShardUnavailableError("the session's shard did not answer in time", outcome="not_sent", **ids)
    except RedisUnavailableError as error:
        raise OutcomeUnknownError(
            "Redis went away while the shard had the command",
            hint=_LOOK_FIRST,
            outcome="unknown",
            **ids,
        ) from error
    raise OutcomeUnknownError(
        "the shard began and has not answered in time",
        hint=_LOOK_FIRST,
        outcome="unknown",
        **ids,
    )


_REFUSALS: Mapping[str, type[BlazzError]] = {
    kind.code: kind
    for kind in (
        SessionNotConnectedError,
        ShardUnavailableError,
        SendQueueFullError,
        RecipientUnknownError,
        MessageNotFoundError,
        MediaNotFoundError,
        MediaTooLargeError,
    )
} | {"too_old": ShardUnavailableError}


def _error_of(reply: Reply, ids: Mapping[str, Any]) -> BlazzError:
    if reply.outcome is Outcome.UNKNOWN:
        known = {"message_id": reply.result.get("message_id")}
        return OutcomeUnknownError(reply.message, hint=_LOOK_FIRST, outcome="unknown", cause=reply.code, **ids, **known)
    kind = _REFUSALS.get(reply.code)
    if kind is None:
        return ActionFailedError(reply.message, outcome="not_sent", cause=reply.code, **ids)
    error = kind(reply.message, outcome="not_sent", **ids)
    error.retry_after_s = reply.result.get("retry_after_s")
    return error
