"""Live snapshots of a page that writes as hard as it can, beside plain copies of the same page."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.profile.rig import Open
from tests.integration.profile.torture import Plan, Torture


@pytest.mark.timeout(900)
async def test_no_live_snapshot_of_a_page_that_writes_hard_loses_anything(
    open_page: Open, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    plan = Plan(plain_copies=10)
    torture = Torture(open_page, tmp_path, plan)
    await torture.run()
    for tally in (torture.ours, torture.plain):
        record_property(tally.way, str(tally))
        print(tally)
    assert torture.ours.lost == 0, str(torture.ours)
    assert torture.ours.opened == plan.snapshots
    assert torture.ours.opened_twice == plan.snapshots // plan.twice_every
    assert torture.page_wrote > plan.snapshots, "the page stood nearly still while snapshots were taken"
    assert torture.plain.opened == plan.plain_copies
