"""`bench.control_plane` works."""

import pytest


@pytest.mark.timeout(600)
def test_control_plane(quick) -> None:
    found = quick("control_plane")
    assert found["tables"][0]["rows"]
