"""`bench.restore` works with profiles on a disk."""

import pytest


@pytest.mark.timeout(600)
def test_restore_disk(quick) -> None:
    found = quick("restore_disk")
    assert found["connected"] == found["sessions"] > 0
