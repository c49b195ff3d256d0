"""`bench.failover` works."""

import pytest


@pytest.mark.timeout(600)
def test_failover(quick) -> None:
    found = quick("failover")
    assert found["tables"][0]["rows"]
