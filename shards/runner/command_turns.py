"""The turns of the commands for one session: who must wait for whom, and what a command finds when its turn comes.

Messages are sent one after another with a pause between, what only reads runs beside, and everything else runs alone.
What is done on the page is in `orders`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from daemon.core.errors import SendQueueFullError, ShardUnavailableError
from daemon.core.settings import Settings
from daemon.sessions.commands import Command, CommandKind, Outcome, Reply
from shards.runner.ending import LOGGED_OUT, Ending, Stop
from shards.runner.orders import Orders, not_done
from shards.runner.sending import SendQueue, SendTurn

_LOGOUT_ENDS_S = 20.0
_PARALLEL_READS = 4
_WAIT_PART = 0.7
"""How much of the time that a request waits may pass in the queue; the rest is for the sending itself."""

Begin = Callable[[], Awaitable[Reply | None]]
"""Claims a command when its turn has come; returns the reply if it must not be carried out any more."""


class CommandTurns:
    """The commands of one run. Once `stop` is done nothing more is begun."""

    def __init__(self, settings: Settings, stop: asyncio.Future[Stop]) -> None:
        self._stop = stop
        self._one_order = asyncio.Lock()
        self._reading = asyncio.Semaphore(_PARALLEL_READS)
        self._sending = SendQueue(settings.send, wait_max_s=settings.coordinator.command_timeout_ms / 1000 * _WAIT_PART)
        self._nothing_goes_out = asyncio.Event()
        self._nothing_goes_out.set()
        self._over = asyncio.Event()
        self._ending: Ending | None = None
        self.orders: Orders | None = None
        """What can be done on the page that is open now; None while none is."""

    def over(self, ending: Ending | None) -> None:
        """Say that the run has ended, and how, if it came to that."""
        self._ending = ending
        self._over.set()

    async def carry_out(self, command: Command, begin: Begin) -> Reply:
        """Carry out a command when its turn has come. Messages are sent in the order in which they came."""
        match command.kind:
            case CommandKind.SEND:
                full_for_s = self._sending.full_for_s()
                if full_for_s is not None:
                    return await begin() or not_done(
                        SendQueueFullError.code, "too many messages of the session wait", retry_after_s=full_for_s
                    )
                async with self._sending.turn(self._stop) as turn:
                    return await self._send(command, begin, turn)
            case CommandKind.FIND_NUMBER | CommandKind.GET_MEDIA:
                async with self._reading:
                    return await self._carry_out(command, begin)
            case _:
                async with self._one_order:
                    reply = await self._carry_out(command, begin)
        if command.kind is CommandKind.LOGOUT and reply.outcome is not Outcome.NOT_DONE:
            # The session ends as soon as the page shows the logout, which may cut off the page's own answer.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOGOUT_ENDS_S):
                    await self._over.wait()
            if self._ending is LOGGED_OUT:
                return Reply(outcome=Outcome.DONE)
        return reply

    async def sent(self, timeout_s: float) -> None:
        """Wait until no message is being sent, or for as long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._nothing_goes_out.wait()

    async def _send(self, command: Command, begin: Begin, turn: SendTurn) -> Reply:
        self._nothing_goes_out.clear()
        try:
            return await self._carry_out(command, begin, turn)
        finally:
            self._nothing_goes_out.set()

    async def _carry_out(self, command: Command, begin: Begin, turn: SendTurn | None = None) -> Reply:
        """Do it now, unless `begin` or the session's state says that it must not be begun."""
        refused = await begin()
        if refused is not None:
            return refused
        orders = self.orders
        if orders is None or self._stop.done():
            return not_done(ShardUnavailableError.code, "the session is starting or stopping")
        refused = orders.refusal(command)
        if refused is not None:
            return refused
        if turn is not None:
            turn.begun = True
        return await orders.carry_out(command)
