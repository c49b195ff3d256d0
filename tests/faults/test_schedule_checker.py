"""The checker of the random schedules finds what it is there for, in a broken product and in histories made by hand."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.faults.simulation.checking import LoginCheck
from tests.faults.simulation.history import Entry, Kind
from tests.faults.simulation.rig import Yard, open_yard
from tests.faults.simulation.schedule import Asked, Blow, Fault, Schedule, Wish, make_schedule

SHARD = "shard_00"
TRIES = 4


@pytest.fixture(scope="module")
def yard() -> Iterator[Yard]:
    with open_yard(buckets=20) as opened:
        yield opened


def schedule(*faults: Fault, wishes: tuple[Asked, ...] = (), breaks: tuple[str, ...] = ()) -> Schedule:
    return Schedule(seed=1000, shards=2, coordinators=1, sessions=5, faults=faults, wishes=wishes, breaks=breaks)


CUT_OFF = Fault(at_s=0.0, blow=Blow.HANG, target=SHARD, for_s=5.0)
STOPPED = Fault(at_s=0.0, blow=Blow.STOP, target=SHARD, for_s=5.0)
KILLED = tuple(Fault(at_s=1.5, blow=Blow.KILL, target=f"shard_{n:02d}", for_s=0.1) for n in range(2))
RESTARTED = tuple(Asked(at_s=0.0, wish=Wish.RESTART, session=n) for n in range(5))
TWO_HOLDERS, STALE_WRITE = "two holders of one session", "a write with a stale token was taken"


@pytest.mark.timeout(300)
async def test_each_break_of_the_product_is_found(yard: Yard) -> None:
    unfenced, blind, unguarded, old = await asyncio.gather(
        _told(yard, TWO_HOLDERS, schedule(CUT_OFF, breaks=("no_guard", "no_fencing"))),
        _told(yard, STALE_WRITE, schedule(CUT_OFF, breaks=("no_guard", "no_fencing", "blind_writes"))),
        _told(yard, TWO_HOLDERS, schedule(STOPPED, breaks=("no_guard",))),
        _told(yard, "an old state was logged in", schedule(*KILLED, wishes=RESTARTED, breaks=("old_archives",))),
    )
    assert (unfenced is not None, blind is not None, unguarded is not None, old is not None) == (True,) * 4
    assert STALE_WRITE not in str(unfenced)


async def _told(yard: Yard, complaint: str, broken: Schedule) -> str | None:
    """Return what was complained of.

    A busy machine may start all sessions on the shard that nothing happens to, or not have done what is asked for
    when the blow comes: so it comes later each time.
    """
    for slower in range(1, TRIES + 1):
        faults = tuple(replace(fault, at_s=fault.at_s * slower) for fault in broken.faults)
        (verdict,) = await yard.run([replace(broken, faults=faults)])
        told = "\n".join(verdict.broken)
        if complaint in told:
            return told
    return None


@pytest.mark.timeout(300)
async def test_the_whole_product_passes_under_the_same_faults_and_the_guard_alone_keeps_holders_apart(
    yard: Yard,
) -> None:
    verdicts = await yard.run(
        [
            schedule(CUT_OFF),
            schedule(STOPPED),
            schedule(*KILLED, wishes=RESTARTED),
        ]
    )
    assert [verdict.broken for verdict in verdicts] == [(), (), ()]
    unfenced, *_ = await yard.run([schedule(CUT_OFF, breaks=("no_fencing",))])
    assert TWO_HOLDERS not in "\n".join(unfenced.broken)


def history(*steps: tuple[Kind, dict[str, object]]) -> list[Entry]:
    return [Entry(at_s=float(n), kind=kind, what="s", facts=facts) for n, (kind, facts) in enumerate(steps)]


PAIRED = ((Kind.LOGIN, {"presented": (0, 0)}), (Kind.GIVEN, {"state": (1, 1)}))
HOT = (Kind.COPY, {"of": "hot_copy"})
ARCHIVE = (Kind.COPY, {"of": "archive"})
AGAIN = ((Kind.LOGIN, {"presented": (1, 1)}), (Kind.GIVEN, {"state": (1, 2)}))
OLD = (Kind.LOGIN, {"presented": (1, 1)})
EMPTY = (Kind.LOGIN, {"presented": (0, 0)})
LOSS: tuple[Kind, dict[str, object]] = (Kind.LOSS, {})
DELETING: tuple[Kind, dict[str, object]] = (Kind.DELETING, {})
MADE: tuple[Kind, dict[str, object]] = (Kind.MADE, {})
ENDED = (Kind.STATE, {"reason": "deleted"})


@pytest.mark.parametrize(
    ("steps", "broken"),
    [
        ((*PAIRED, HOT, *AGAIN, HOT), None),
        ((*PAIRED, HOT, EMPTY), "a login was lost"),
        ((*PAIRED, EMPTY), None),
        ((*PAIRED, HOT, *AGAIN, OLD), None),
        ((*PAIRED, HOT, *AGAIN, HOT, OLD), "an old state was logged in"),
        ((*PAIRED, HOT, *AGAIN, HOT, LOSS, OLD), None),
        ((*PAIRED, HOT, *AGAIN, ARCHIVE, LOSS, OLD), "an old state was logged in"),
        ((*PAIRED, ARCHIVE, LOSS, EMPTY), "a login was lost"),
        ((*PAIRED, HOT, DELETING, MADE, EMPTY), None),
        ((*PAIRED, HOT, DELETING, MADE, OLD), "a deleted login came back"),
        ((*PAIRED, HOT, LOSS, DELETING, MADE, OLD), "a deleted login came back"),
        ((*PAIRED, HOT, DELETING, LOSS, MADE, OLD), None),
        ((*PAIRED, HOT, LOSS, ENDED), "ended as if it was deleted"),
        ((*PAIRED, HOT, DELETING, ENDED), None),
    ],
)
def test_a_login_may_come_with_nothing_older_than_what_was_confirmed(
    steps: tuple[tuple[Kind, dict[str, object]], ...], broken: str | None
) -> None:
    assert [complaint.broken for complaint in LoginCheck.of(history(*steps)).complaints] == ([broken] if broken else [])


def test_a_seed_always_gives_the_same_schedule_and_the_seeds_of_every_run_hold_every_fault() -> None:
    assert make_schedule(7) == make_schedule(7)
    made = [make_schedule(seed) for seed in range(200)]
    assert {fault.blow for one in made for fault in one.faults} == set(Blow)
    assert {asked.wish for one in made for asked in one.wishes} == set(Wish)
    assert sum(one.lossy for one in made) == 40
