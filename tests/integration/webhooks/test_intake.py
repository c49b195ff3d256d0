"""What is read of a group while what was read before is being acknowledged."""

from collections.abc import Sequence

from daemon.registry.link import RedisLink
from daemon.registry.outbox import Outbox, Waiting
from daemon.webhooks.acks import Acks
from daemon.webhooks.intake import Intake
from tests.integration.webhooks.conftest import Publish

NAME = "laravel"


class LateAnswers(Outbox):
    """Redis' answer to `reclaim` is read only after an acknowledgement that was under way."""

    delivered: Sequence[str] = ()
    acks: Acks

    async def reclaim(self, endpoint: str, count: int) -> list[Waiting]:
        answer = await super().reclaim(endpoint, count)
        for entry_id in self.delivered:
            self.acks.add(entry_id)
        await self.acks._flush()
        return answer


async def test_an_event_acknowledged_while_the_group_is_read_is_not_read_again(
    link: RedisLink, publish: Publish
) -> None:
    outbox = LateAnswers(link)
    held: set[str] = set()
    outbox.acks = Acks(outbox, NAME, held.discard)

    async def join() -> None:
        await outbox.join([NAME])

    await join()
    for n in range(4):
        await publish("s", n)
    # A leader that is gone took three, and acknowledged none.
    left = await outbox.take(NAME, 3, 10)
    intake = Intake(outbox, NAME, held_max=100, join=join)
    first = await intake.next(held, 3, wait_ms=500)
    assert [waiting.entry_id for waiting in first] == [waiting.entry_id for waiting in left]
    held.update(waiting.entry_id for waiting in first)
    outbox.delivered = [first[0].entry_id, first[1].entry_id]
    second = await intake.next(held, 97, wait_ms=500)
    assert [waiting.event.data["n"] for waiting in second] == [3]
    assert held == {first[2].entry_id}
