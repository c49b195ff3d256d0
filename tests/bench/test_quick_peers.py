"""`bench.peers` works."""

import pytest


@pytest.mark.timeout(600)
def test_peers(quick) -> None:
    found = quick("peers")
    assert found["tables"][0]["rows"]
