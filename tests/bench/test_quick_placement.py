"""`bench.placement` works."""

import pytest


@pytest.mark.timeout(600)
def test_placement(quick) -> None:
    found = quick("placement")
    assert found["tables"][0]["rows"]
