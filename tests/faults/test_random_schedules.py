"""Hundreds of random fault schedules, each in a world of its own; `tests.faults.simulation` has the parts.

`FAULT_SEEDS=200-399` tries other seeds than those of every run; a failure tells the seed, and
`python -m tests.faults.simulation --seed N` runs it again.
"""

import os
from collections.abc import Iterator

import pytest

from tests.faults.simulation.rig import Yard, open_yard
from tests.faults.simulation.running import Verdict
from tests.faults.simulation.schedule import make_schedule

_PER_TEST = 20


def _seeds() -> range:
    first, _, last = os.environ.get("FAULT_SEEDS", "0-199").partition("-")
    return range(int(first), int(last or first) + 1)


_CHUNKS = [range(first, min(first + _PER_TEST, _seeds().stop)) for first in _seeds()[::_PER_TEST]]


@pytest.fixture(scope="module")
def yard() -> Iterator[Yard]:
    with open_yard(buckets=len(_seeds())) as opened:
        yield opened


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seeds", _CHUNKS, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
async def test_no_session_is_held_twice_or_lost_or_written_by_a_stale_holder(yard: Yard, seeds: range) -> None:
    verdicts = await yard.run([make_schedule(seed) for seed in seeds])
    assert not _failures(verdicts), _failures(verdicts)
    assert all(verdict.logins for verdict in verdicts), "a schedule in which nobody logged in shows nothing"


def _failures(verdicts: list[Verdict]) -> str:
    return "\n\n".join(verdict.report for verdict in verdicts if verdict.broken)
