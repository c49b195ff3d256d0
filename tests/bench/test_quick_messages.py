"""`bench.messages` works."""

import pytest


@pytest.mark.timeout(600)
def test_messages(quick) -> None:
    found = quick("messages")
    assert found["tables"][0]["rows"]
