"""Shards over HTTP: what is shown of them, and draining one."""

from dataclasses import replace
from datetime import timedelta

import httpx

from daemon.core.clock import utc_now
from daemon.registry.drains import Drain, DrainCount
from daemon.registry.exits import ExitReport
from tests.unit.api.directory_double import NOW, DirectoryDouble

SHARDS = "/api/whatsapp/shards"


async def test_a_living_shard_tells_what_its_heartbeat_says(api: httpx.AsyncClient) -> None:
    shown = (await api.get(f"{SHARDS}/shard_00")).json()
    assert {name: shown[name] for name in ("name", "alive", "host", "sessions", "capacity", "full", "drain")} == {
        "name": "shard_00", "alive": True, "host": "host-1", "sessions": 3, "capacity": 200, "full": False,
        "drain": None,
    }  # fmt: skip
    assert shown["last_seen_at"] == "2026-01-31T12:00:00.005Z"
    assert (await api.get(SHARDS)).json()["shards"][0] == shown


async def test_a_crash_is_shown_although_the_heartbeat_is_still_there(
    api: httpx.AsyncClient, directory: DirectoryDouble
) -> None:
    now = utc_now()
    crash = ExitReport(
        shard="shard_00", holder_prefix="shard_00:i:a|", host="host-1", pid=1, expected=False,
        code_text="exited unexpectedly", at=now, recent=(now - timedelta(seconds=9), now),
    )  # fmt: skip
    directory.views = (replace(directory.views[0], exit=crash),)
    shown = (await api.get(f"{SHARDS}/shard_00")).json()
    assert (shown["alive"], shown["sessions"]) == (False, None)
    assert shown["last_exit"]["how"] == "exited unexpectedly"
    assert shown["cooling_until"] is not None


async def test_a_drain_begins_is_shown_and_ends(api: httpx.AsyncClient, directory: DirectoryDouble) -> None:
    begun = await api.post(f"{SHARDS}/shard_00/drain")
    assert begun.status_code == 202
    assert begun.json()["drain"] == {
        "since": "2026-01-31T12:00:00.005Z", "total": 3, "left": None, "moving": None, "blocked_reason": None
    }  # fmt: skip
    counted = Drain(since=NOW, total=3, count=DrainCount(left=1, moving=2, blocked_reason="shards_full"))
    directory.views = (replace(directory.views[0], drain=counted),)
    shown = (await api.get(f"{SHARDS}/shard_00")).json()["drain"]
    assert (shown["left"], shown["moving"], shown["blocked_reason"]) == (1, 2, "shards_full")
    ended = await api.post(f"{SHARDS}/shard_00/undrain")
    assert (ended.status_code, ended.json()["drain"]) == (200, None)


async def test_a_strange_shard_is_not_found(api: httpx.AsyncClient) -> None:
    for method, path in (("GET", "shard_99"), ("POST", "shard_99/drain"), ("POST", "shard_99/undrain")):
        answer = await api.request(method, f"{SHARDS}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "shard_not_found")
