"""`bench.archive` works."""

import pytest


@pytest.mark.timeout(600)
def test_archive(quick) -> None:
    found = quick("archive")
    assert found["tables"][0]["rows"]
