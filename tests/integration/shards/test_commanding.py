"""A shard's command stream on a Redis that goes away and falls back: what the process has taken is done once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs
from structlog.typing import EventDict

from daemon.core.sections import RedisSettings
from daemon.registry.commands import Commands
from daemon.registry.link import RedisLink
from daemon.sessions.commands import Command, CommandKind, Outcome, Reply
from shards.commanding import Commanding
from tests.integration.house.house import until
from tests.servers.redis_losing import LosingRedis, losing_redis


class Sender:
    """A runner that sends when it is let, and the intake that has it."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.sent: list[str] = []
        self.may_claim = asyncio.Event()

    def runner(self, _session_id: str) -> "Sender":
        return self

    async def carry_out(self, command: Command, begin: Callable[[], Awaitable[Reply | None]]) -> Reply:
        self.waiting.append(command.command_id)
        await self.may_claim.wait()
        refused = await begin()
        if refused is None:
            self.sent.append(command.command_id)
        return refused or Reply(outcome=Outcome.DONE, result={"sent": command.command_id})


async def said(lines: list[EventDict], text: str) -> bool:
    return text in [line["event"] for line in lines]


@pytest.fixture
def server() -> Iterator[LosingRedis]:
    with losing_redis() as server:
        yield server


@pytest.fixture
async def commands(server: LosingRedis) -> AsyncIterator[Commands]:
    async with RedisLink(RedisSettings(REDIS_URL=SecretStr(server.url), REDIS_TIMEOUT_MS=2000)) as link:
        yield Commands(link, max_age_ms=60_000)


async def test_a_command_that_redis_hands_out_again_after_it_fell_back_is_not_carried_out_again(
    commands: Commands, server: LosingRedis
) -> None:
    sender, stop = Sender(), asyncio.Event()
    commanding = Commanding(commands, sender, None, shard="a")  # type: ignore[arg-type]
    task = asyncio.create_task(commanding.run(stop))
    await commands.join("a")
    command = await commands.give("a", CommandKind.SEND, "s", {})

    async def taken() -> bool:
        return bool(sender.waiting)

    async def nothing_pending() -> bool:
        return not await commands.pending("a")

    await until("the command is taken", taken)
    server.keep()  # the command is pending, and nobody has claimed it
    sender.may_claim.set()
    reply = await commands.wait(command, timeout_s=5)
    assert reply is not None and reply.outcome is Outcome.DONE
    await until("it is dropped", nothing_pending)
    with capture_logs() as lines:
        server.stop()
        await until("the shard sees it", lambda: said(lines, "commands cannot be read"))
        server.start()
        await until("it is handed out again", nothing_pending)
    again = await commands.wait(command, timeout_s=10)
    assert again is not None and again.outcome is Outcome.DONE
    assert sender.sent == sender.waiting == [command.command_id]
    stop.set()
    await task
    await commanding.finish(timeout_s=1)
