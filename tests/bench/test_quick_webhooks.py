"""`bench.webhooks` works."""

import pytest


@pytest.mark.timeout(600)
def test_webhooks(quick) -> None:
    found = quick("webhooks")
    assert found["tables"][0]["rows"]
