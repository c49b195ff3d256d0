"""`bench.restore` works."""

import pytest


@pytest.mark.timeout(600)
def test_restore(quick) -> None:
    found = quick("restore")
    assert {"sessions", "connected", "wall_s", "cpu_s_per_session", "pss_mb_per_session", "phases"} <= found.keys()
    assert found["connected"] == found["sessions"] > 0
    assert found["wall_s"] > 0
    assert found["phases"]
