"""`bench.snapshot` works."""

import pytest


@pytest.mark.timeout(600)
def test_snapshot(quick) -> None:
    found = quick("snapshot")
    assert found["tables"][0]["rows"]
