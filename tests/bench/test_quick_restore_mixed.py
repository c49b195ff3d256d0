"""`bench.restore` works with sessions of which every other has lost its hot copy."""

import pytest


@pytest.mark.timeout(600)
def test_restore_mixed(quick) -> None:
    found = quick("restore_mixed")
    assert found["tier"] == "mixed"
    assert found["connected"] == found["sessions"] > 0
