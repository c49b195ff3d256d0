"""`bench.peers` works."""

import pytest


@pytest.mark.timeout(600)
def test_peers(quick) -> None:
    found = quick("peers")
    ours, *theirs = found["restores"]
    assert (ours["who"], ours["ready"], ours["asked"]) == ("blazz", 2, 2)
    assert {"wwebjs on shell", "wwebjs on shell, repaired"} == {one["who"] for one in theirs}
    assert any(one["ready"] for one in theirs)
