"""`bench.restore` works with sessions whose hot copies are all in Redis."""

import pytest


@pytest.mark.timeout(600)
def test_restore_redis(quick) -> None:
    found = quick("restore_redis")
    assert found["tier"] == "redis"
    assert found["connected"] == found["sessions"] > 0
