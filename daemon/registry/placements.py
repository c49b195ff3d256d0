"""Placements: which shard each session belongs on, written for many sessions at a time.

The record decides; a shard's set of placements only says where to look. So the set of the new shard is written first,
then the record, then the set of the old one: at every moment a session is found by the shard that its record names.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from daemon.registry import keys
from daemon.registry.link import RedisLink

_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One placement to write. It is refused if the session is no longer on `before` (nor already on `to`)."""

    session_id: str
    before: str | None
    to: str | None
    moving_from: str | None = None
    """The living shard that hands it over, if this is a planned handover."""


async def place_many(
    link: RedisLink, placements: Sequence[Placement], *, at_once: int = _AT_ONCE
) -> tuple[Placement, ...]:
    """Write placements, `at_once` in a round trip, and return those that hold now. Safe to repeat.

    Raises:
        RedisUnavailableError: some are written, each whole or not at all.
    """
    held: list[Placement] = []
    for start in range(0, len(placements), at_once):
        held += await _place_some(link, placements[start : start + at_once])
    return tuple(held)


async def _place_some(link: RedisLink, some: Sequence[Placement]) -> list[Placement]:
    await _change_sets(link, "sadd", [(p.to, p.session_id) for p in some if p.to is not None])
    calls = [([keys.record(p.session_id)], [p.to or "", p.before or "", p.moving_from or ""]) for p in some]
    answers = await link.run_many("place", calls)
    held = [placement for placement, answer in zip(some, answers, strict=True) if answer == 1]
    left = [(p.before, p.session_id) for p in held if p.before is not None and p.before != p.to]
    await _change_sets(link, "srem", left)
    return held


async def unlist_many(link: RedisLink, members: Iterable[tuple[str, str]]) -> None:
    """Take (shard, session id) pairs out of the sets of placements.

    Raises:
        RedisUnavailableError: some may be out.
    """
    await _change_sets(link, "srem", list(members))


async def end_handovers(link: RedisLink, session_ids: Sequence[str]) -> None:
    """Note that sessions are not being handed over any more.

    Raises:
        RedisUnavailableError: some may be noted.
    """
    for start in range(0, len(session_ids), _AT_ONCE):
        some = session_ids[start : start + _AT_ONCE]
        wish = ["0", "0", "moving_from", ""]
        await link.run_many("write_wish", [([keys.record(i), keys.lease(i)], wish) for i in some])


async def _change_sets(link: RedisLink, command: str, members: Sequence[tuple[str, str]]) -> None:
    by_shard: defaultdict[str, list[str]] = defaultdict(list)
    for shard, session_id in members:
        by_shard[shard].append(session_id)
    if not by_shard:
        return
    async with link.asking("change placements"):
        pipe = link.text.pipeline(transaction=False)
        for shard, session_ids in by_shard.items():
            pipe.execute_command(command.upper(), keys.placed(shard), *session_ids)
        await pipe.execute()
