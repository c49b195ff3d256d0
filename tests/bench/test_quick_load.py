"""`bench.load` works."""

import pytest


@pytest.mark.timeout(600)
def test_load(quick) -> None:
    found = quick("load")
    assert found["made"] == found["planned"] == found["succeeded"]
    assert found["operations"].keys() == {"list", "create", "create again", "send"}
    assert all(kind["p50_ms"] <= kind["p95_ms"] <= kind["max_ms"] for kind in found["operations"].values())
