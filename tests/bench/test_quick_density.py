"""`bench.density` works."""

import pytest


@pytest.mark.timeout(600)
def test_density(quick) -> None:
    found = quick("density")
    assert found["tables"][0]["rows"]
