"""`bench.census` works."""

import pytest


@pytest.mark.timeout(600)
def test_census(quick) -> None:
    found = quick("census")
    assert found["tables"][0]["rows"]
