"""What the logs of a restore are counted as."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from bench.restore import _failure, sources_of
from bench.restored import Restored

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


def back(session_id: str, after_s: float, source: str = "r2") -> dict[str, Any]:
    at = (BEGAN + timedelta(seconds=after_s)).isoformat()
    return {"event": "session restored", "session_id": session_id, "timestamp": at, "source": source, "phases_ms": {}}


def restored(*lines: dict[str, Any], sessions: int = 2, elsewhere: dict[str, int] | None = None) -> Restored:
    return Restored.of(lines, BEGAN, sessions, cpu_s={}, pss_mb={}, elsewhere=elsewhere)


def test_a_session_that_came_back_twice_stands_for_no_other() -> None:
    one = restored(back("a", 1), back("a", 5))
    assert (one.connected, one.lost, one.wall_s) == (1, 1, 1.0)
    assert "1 sessions did not come back" in _failure([one], "r2")


def test_a_round_with_all_does_not_make_up_for_one_without() -> None:
    whole, short = restored(back("a", 1), back("b", 2)), restored(back("a", 1))
    assert _failure([whole], "r2") == ""
    assert _failure([whole, short], "r2")


def test_a_session_that_did_not_stay_connected_is_lost() -> None:
    assert restored(back("a", 1), back("b", 2), elsewhere={"starting": 1}).lost == 1


@pytest.mark.parametrize(
    ("tier", "sources"), [("r2", ("r2", "r2")), ("redis", ("redis", "redis")), ("mixed", ("r2", "redis"))]
)
def test_each_tier_has_its_sources(tier: str, sources: tuple[str, str]) -> None:
    one = restored(back("a", 1, sources[0]), back("b", 2, sources[1]))
    assert one.sources == sources_of(2, tier)
    assert _failure([one], tier) == ""
    others = {"r2", "redis", "mixed"} - {tier}
    assert all(_failure([one], other) for other in others)


def test_none_back_is_an_error() -> None:
    with pytest.raises(click.ClickException, match="no session came back"):
        restored()
