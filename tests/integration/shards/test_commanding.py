"""A shard's command stream on a Redis that goes away and falls back: what the process has taken is done once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs
from structlog.typing import EventDict

from daemon.core.sections import RedisSettings
from daemon.registry import keys
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
async def link(server: LosingRedis) -> AsyncIterator[RedisLink]:
    async with RedisLink(RedisSettings(REDIS_URL=SecretStr(server.url), REDIS_TIMEOUT_MS=2000)) as link:
        yield link


@pytest.fixture
def commands(link: RedisLink) -> Commands:
    return Commands(link, max_age_ms=60_000)


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


async def test_a_command_that_only_a_newer_version_knows_is_answered_and_the_next_one_is_carried_out(
    commands: Commands, link: RedisLink
) -> None:
    sender, stop = Sender(), asyncio.Event()
    sender.may_claim.set()
    await commands.join("a")
    fields = {"command_id": "cmd_new", "kind": "poll", "session_id": "s", "arguments": "{}"}
    for entry in (fields, fields | {"command_id": "cmd_garbled", "kind": "send", "arguments": "{"}):
        await link.text.xadd(keys.commands("a"), entry)  # type: ignore[arg-type]  # text only
    await commands.take("a", block_ms=100)  # as a process that ended at it
    known = await commands.give("a", CommandKind.SEND, "s", {})
    commanding = Commanding(commands, sender, None, shard="a")  # type: ignore[arg-type]
    with capture_logs() as lines:
        task = asyncio.create_task(commanding.run(stop))
        for command_id in ("cmd_new", "cmd_garbled"):
            asked = Command(command_id=command_id, shard="a", kind=CommandKind.UNKNOWN, session_id="s")
            reply = await commands.wait(asked, timeout_s=5)
            assert reply is not None
            assert (reply.outcome, reply.code) == (Outcome.NOT_DONE, "unknown_command")
        done = await commands.wait(known, timeout_s=5)
        assert done is not None and done.outcome is Outcome.DONE

        async def nothing_left() -> bool:
            return await link.text.xlen(keys.commands("a")) == 0

        await until("all are acknowledged and removed", nothing_left)
    told = [(line["command_id"], line["kind"]) for line in lines if line["log_level"] == "error"]
    assert sorted(told) == [("cmd_garbled", "send"), ("cmd_new", "poll")]
    assert sender.sent == [known.command_id]
    stop.set()
    await task
    await commanding.finish(timeout_s=1)
