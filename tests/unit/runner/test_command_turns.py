"""The turns of one session's commands: what is refused when its turn has come costs the next ones nothing."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from daemon.core.clock import mono_s
from daemon.core.sections import CoordinatorSettings, SendSettings
from daemon.sessions.commands import Command, CommandKind, Outcome, Reply
from shards.runner.command_turns import CommandTurns
from shards.runner.orders import not_done

DONE = Reply(outcome=Outcome.DONE)
TOO_OLD = not_done("too_old", "the command waited too long")
NOT_CONNECTED = not_done("session_not_connected", "the session is syncing")
PAUSE_S = 0.5


class OrdersDouble:
    """An open page that sends at once, or refuses."""

    def __init__(self, refuses: Reply | None = None) -> None:
        self.refuses = refuses
        self.sent: list[tuple[str, float]] = []

    def refusal(self, command: Command) -> Reply | None:
        return self.refuses

    async def carry_out(self, command: Command) -> Reply:
        self.sent.append((command.command_id, mono_s()))
        return DONE


async def _send(turns: CommandTurns, command_id: str, refused: Reply | None = None) -> Reply:
    async def begin() -> Reply | None:
        return refused

    command = Command(command_id=command_id, shard="shard_00", kind=CommandKind.SEND, session_id="s")
    return await turns.carry_out(command, begin)


@pytest.fixture
async def turns() -> CommandTurns:
    settings: Any = SimpleNamespace(
        send=SendSettings.model_validate({"SEND_MIN_INTERVAL_MS": PAUSE_S * 1000}),
        coordinator=CoordinatorSettings.model_validate({}),
    )
    made = CommandTurns(settings, asyncio.get_running_loop().create_future())
    made.orders = OrdersDouble()  # type: ignore[assignment]  # of orders, only this is asked
    return made


async def test_a_message_behind_expired_ones_waits_for_the_last_one_that_was_sent_only(turns: CommandTurns) -> None:
    orders: Any = turns.orders
    assert await _send(turns, "first") == DONE
    expired = [asyncio.create_task(_send(turns, f"old-{n}", TOO_OLD)) for n in range(8)]
    await asyncio.sleep(0)
    assert await _send(turns, "fresh") == DONE
    assert [await task for task in expired] == [TOO_OLD] * 8
    (first, began_mono_s), (fresh, sent_mono_s) = orders.sent
    assert (first, fresh) == ("first", "fresh")
    assert PAUSE_S <= sent_mono_s - began_mono_s < 6 * PAUSE_S


async def test_what_the_session_cannot_send_now_is_refused_without_pauses(turns: CommandTurns) -> None:
    orders: Any = turns.orders
    orders.refuses = NOT_CONNECTED
    began_mono_s = mono_s()
    assert [await _send(turns, f"{n}") for n in range(5)] == [NOT_CONNECTED] * 5
    turns.orders = None
    assert [(await _send(turns, f"{n}")).code for n in range(5)] == ["shard_unavailable"] * 5
    assert mono_s() - began_mono_s < 4 * PAUSE_S
    assert orders.sent == []


async def test_what_was_sent_is_followed_by_a_pause(turns: CommandTurns) -> None:
    assert await _send(turns, "first") == DONE
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_send(turns, "second"), PAUSE_S / 2)
