"""`bench.restore` works without browsers."""

import pytest


@pytest.mark.timeout(600)
def test_restore_simulated(quick) -> None:
    found = quick("restore_simulated")
    assert found["connected"] == found["sessions"] > 0
