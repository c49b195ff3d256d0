"""Taking commands from the shard's stream: claims each, has the session's runner carry it out, replies.

A command that an earlier process of this shard began is never begun again: its outcome is unknown, and that is said.
One that this process has taken is not taken again, whatever Redis says: after it was away it hands out everything that
is pending, and after it fell back to a dump it may have lost the claims.
"""

import asyncio

import structlog

from daemon.core.errors import BlazzError, RedisUnavailableError, ShardUnavailableError
from daemon.core.loops import sleep_or_stop
from daemon.registry.commands import Claim, Commands, Received
from daemon.sessions.commands import WITHOUT_ANSWER, CommandKind, Outcome, Reply
from shards.intake import Intake
from shards.runner.orders import not_done
from shards.unsaved import Unsaved

log = structlog.get_logger()

_BLOCK_MS = 1000
_RETRY_S = 0.5
_REPLY_TRIES = 5
_REMEMBERED = 1000
"""Of so many commands the reply is kept: more than a shard gets while a command may still be begun."""


class Commanding:
    """The command stream of one shard."""

    def __init__(self, commands: Commands, intake: Intake, unsaved: Unsaved, *, shard: str) -> None:
        self._commands = commands
        self._intake = intake
        self._unsaved = unsaved
        self._shard = shard
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken: dict[str, asyncio.Task[Reply]] = {}
        """By command id, the oldest first."""

    async def run(self, stop: asyncio.Event) -> None:
        """Take commands until `stop` is set; those under way are finished by `finish`."""
        joined = False
        failing = False
        while not stop.is_set():
            try:
                if not joined:
                    await self._commands.join(self._shard)
                    received = await self._commands.pending(self._shard)
                    joined = True
                else:
                    received = await self._commands.take(self._shard, block_ms=_BLOCK_MS)
                failing = False
            except RedisUnavailableError as error:
                if not failing:
                    log.warning("commands cannot be read", code=error.code)
                # The stream itself may be gone with Redis' data; joining again makes it.
                failing, joined = True, False
                await sleep_or_stop(_RETRY_S, stop)
                continue
            for item in received:
                self._spawn(item)

    async def finish(self, *, timeout_s: float) -> None:
        """Wait for the commands under way, up to `timeout_s`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in (*self._tasks, *self._taken.values()):
            task.cancel()

    def _spawn(self, item: Received) -> None:
        if item.command.kind is CommandKind.WAKE:
            self._intake.hurry(item.command.session_id)
        if item.command.kind is CommandKind.STORE:
            self._unsaved.hurry(item.command.session_id)
        task = asyncio.create_task(self._settle(item))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, item: Received) -> None:
        try:
            if item.command.kind not in WITHOUT_ANSWER:
                await self._reply(item.command.command_id, await self._once(item))
            await self._commands.drop(self._shard, item.entry_id)
        except BlazzError as error:
            # The entry stays pending; its claim says that it was begun, so it is never carried out twice.
            log.error("command not settled", command_id=item.command.command_id, code=error.code)

    async def _once(self, item: Received) -> Reply:
        """Carry a command out, or wait for the reply if this process has taken it before."""
        command_id = item.command.command_id
        task = self._taken.get(command_id)
        if task is None:
            task = self._taken[command_id] = asyncio.create_task(self._carry_out(item))
            done = [key for key, taken in self._taken.items() if taken.done()]
            for key in done[: max(0, len(self._taken) - _REMEMBERED)]:
                del self._taken[key]
        try:
            return await asyncio.shield(task)
        except BlazzError:
            # Nobody knows whether it is claimed; the next time it is handed out, the claim tells.
            self._taken.pop(command_id, None)
            raise

    async def _carry_out(self, item: Received) -> Reply:
        command = item.command
        if command.kind is CommandKind.UNKNOWN:
            return await self._refuse_unknown(item)

        async def begin() -> Reply | None:
            return await self._claim(item)

        runner = self._intake.runner(command.session_id)
        if runner is None:
            return await begin() or not_done(ShardUnavailableError.code, "the session is not up on its shard yet")
        reply = await runner.carry_out(command, begin)
        log.info("command carried out", session_id=command.session_id, kind=command.kind, outcome=reply.outcome,
                 code=reply.code or None, command_id=command.command_id)  # fmt: skip
        return reply

    async def _refuse_unknown(self, item: Received) -> Reply:
        refused = await self._claim(item)
        if refused is not None:
            return refused
        command = item.command
        log.error("command not known to this version, not carried out", kind=command.arguments.get("kind"),
                  session_id=command.session_id, command_id=command.command_id)  # fmt: skip
        return not_done("unknown_command", "the shard is older than the coordinator and does not know this command")

    async def _claim(self, item: Received) -> Reply | None:
        """Return None when the command is ours to begin, else the reply that it gets."""
        command = item.command
        claim = await self._commands.claim(command, given_at_ms=item.given_at_ms)
        if claim is Claim.TOO_OLD:
            log.warning("command too old, not carried out", command_id=command.command_id, kind=command.kind)
            return not_done("too_old", "the command waited too long and was not carried out")
        if claim is Claim.TAKEN:
            return Reply(
                outcome=Outcome.UNKNOWN, code="interrupted", message="the shard was stopped while it carried this out"
            )
        return None

    async def _reply(self, command_id: str, reply: Reply) -> None:
        for left in range(_REPLY_TRIES - 1, -1, -1):
            try:
                await self._commands.reply(command_id, reply)
                return
            except RedisUnavailableError:
                if left == 0:
                    raise
                await asyncio.sleep(_RETRY_S)
