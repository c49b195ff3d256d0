"""What supervisord sees of a shard's end reaches Redis at once, and the shard's browsers are dead by then."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

from daemon.core.errors import RedisUnavailableError
from daemon.core.sections import RedisSettings
from daemon.embedded.redis import redis_url
from daemon.registry import keys
from daemon.registry.exits import ExitReport, Exits
from daemon.registry.link import RedisLink
from daemon.registry.wakes import Wakes
from shards.browser.orphans import live_group, write_note
from shards.browser.procfs import group_members, read_stat
from tests.integration.supervision.house import House, until

SHARDS = ["shard_00", "shard_01"]


@pytest.fixture
def lived_in(shared: House) -> House:
    """The shared home, in which everything runs again."""
    if {*shared.states().values()} != {"RUNNING"}:
        shared.control("start", "all")
    # Of a process that ends while it starts, supervisord does not say the number.
    until(lambda: {*shared.states().values()} == {"RUNNING"}, "supervisord counts everything as running")
    return shared


@pytest.fixture
async def link(lived_in: House) -> AsyncIterator[RedisLink]:
    """Its Redis, in which no end is reported yet."""
    async with RedisLink(RedisSettings(REDIS_URL=redis_url(lived_in.home.var), REDIS_TIMEOUT_MS=1000)) as opened:
        await opened.text.delete(*(keys.exit_report(name) for name in SHARDS))
        yield opened


@pytest.fixture
def browser() -> Iterator["subprocess.Popen[bytes]"]:
    """A process group that nothing ends but a sweep: it ignores the end of whoever is said to have started it."""
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield child
    child.kill()
    child.wait()


def note_as_browser(house: House, shard: str, child: "subprocess.Popen[bytes]") -> None:
    """Note the process as a browser that the shard's present process has started."""
    note = house.home.run_dir / f"{shard}.chromium" / "s.pgid"
    write_note(note, child.pid)
    pid = house.pid(f"shard:{shard}")
    stat = read_stat(pid)
    assert stat is not None
    owner = {"owner": pid, "owner_start_time": stat.start_ticks}
    note.write_text(json.dumps(json.loads(note.read_text()) | owner))


async def report(
    link: RedisLink, shard: str, accept: Callable[[ExitReport], bool] = lambda _: True, *, limit_s: float = 30
) -> ExitReport:
    deadline_mono_s = time.monotonic() + limit_s
    while True:
        found = None
        with contextlib.suppress(RedisUnavailableError):  # it may just be starting
            found = (await Exits(link).all([shard])).get(shard)
        if found is not None and accept(found):
            return found
        assert time.monotonic() < deadline_mono_s, f"no such report of {shard}: {found}"
        await asyncio.sleep(0.02)


def no_event_was_stuck(house: House) -> bool:
    log = house.log("supervisord")
    return "overflow" not in log and "bad result" not in log and "UNKNOWN state" not in log


async def test_a_killed_shard_is_reported_as_a_crash_after_its_browsers_are_dead(
    lived_in: House, link: RedisLink, browser: "subprocess.Popen[bytes]"
) -> None:
    pid = lived_in.pid("shard:shard_00")
    note_as_browser(lived_in, "shard_00", browser)
    last_wake = await Wakes(link).last_id()
    os.kill(pid, signal.SIGKILL)
    found = await report(link, "shard_00")
    assert browser.poll() == -signal.SIGKILL
    assert (found.pid, found.expected, len(found.recent)) == (pid, False, 1)
    assert found.cools_until() is not None
    assert f":{pid}-" in found.holder_prefix
    _, wakes = await Wakes(link).wait(last_wake, 5000)
    assert [(wake.why, wake.shard) for wake in wakes] == [("shard_exit", "shard_00")]
    until(lambda: lived_in.pid("shard:shard_00") not in (0, pid), "another process of that name")
    assert no_event_was_stuck(lived_in)


async def test_real_browsers_of_a_killed_shard_are_gone_when_it_is_reported(lived_in: House, link: RedisLink) -> None:
    def browsers() -> list[tuple[str, int]]:
        notes = lived_in.home.run_dir.glob("*.chromium/*.pgid")
        groups = [(note.parent.name.removesuffix(".chromium"), live_group(note)) for note in notes]
        return [(shard, group) for shard, group in groups if group is not None]

    path, headers = "/api/whatsapp/sessions", {"Authorization": f"Bearer {lived_in.environment['API_TOKEN']}"}
    address = f"http://127.0.0.1:{lived_in.port}"
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=20) as http:
        answer = await http.post(path, json={"workspace_id": "1", "user_id": "1"})
        assert answer.status_code == 202, answer.text
        until(lambda: bool(browsers()), "a Chromium runs")
        ((shard, group),) = browsers()
        os.kill(lived_in.pid(f"shard:{shard}"), signal.SIGKILL)
        assert not (await report(link, shard)).expected
        assert not group_members(group)
        assert (await http.delete(f"{path}/{answer.json()['session_id']}")).is_success


async def test_crashes_are_counted(lived_in: House, link: RedisLink) -> None:
    for count in (1, 2):
        until(lambda: lived_in.states()["shard:shard_01"] == "RUNNING", "the shard runs")
        os.kill(lived_in.pid("shard:shard_01"), signal.SIGKILL)
        await report(link, "shard_01", lambda found, count=count: len(found.recent) == count)  # type: ignore[misc]


async def test_told_to_stop_is_expected_and_a_dead_owners_browser_does_not_outlive_it(
    lived_in: House, link: RedisLink, browser: "subprocess.Popen[bytes]"
) -> None:
    pid = lived_in.pid("shard:shard_01")
    note_as_browser(lived_in, "shard_01", browser)
    lived_in.control("stop", "shard:shard_01")
    found = await report(link, "shard_01")
    assert browser.poll() == -signal.SIGKILL
    assert (found.pid, found.expected, found.recent, found.cools_until()) == (pid, True, (), None)


async def test_a_rolling_restart_is_reported_as_expected_for_each_shard(lived_in: House, link: RedisLink) -> None:
    before = {name: lived_in.pid(f"shard:{name}") for name in SHARDS}
    lived_in.control("restart", "shard:*")
    for name in SHARDS:
        found = await report(link, name)
        assert (found.pid, found.expected) == (before[name], True)
    assert no_event_was_stuck(lived_in)


async def test_browsers_of_the_next_process_are_spared(
    lived_in: House, link: RedisLink, browser: "subprocess.Popen[bytes]"
) -> None:
    exits, old = lived_in.pid("exits"), lived_in.pid("shard:shard_00")
    starts = lived_in.log("shard_00").count("shard started")
    os.kill(exits, signal.SIGSTOP)
    try:
        os.kill(old, signal.SIGKILL)
        until(lambda: lived_in.pid("shard:shard_00") not in (0, old), "another process of that name")
        until(lambda: lived_in.log("shard_00").count("shard started") == starts + 1, "it has swept, and runs")
        note_as_browser(lived_in, "shard_00", browser)
    finally:
        os.kill(exits, signal.SIGCONT)
    found = await report(link, "shard_00")
    assert found.pid == old
    assert found.holder_prefix.endswith(f":{old}-")
    assert browser.poll() is None


async def test_a_report_waits_for_redis(lived_in: House, link: RedisLink) -> None:
    lived_in.control("stop", "redis")
    pid, said = lived_in.pid("shard:shard_00"), lived_in.log("exits").count("exit report not written")
    os.kill(pid, signal.SIGKILL)
    until(lambda: lived_in.log("exits").count("exit report not written") > said, "the listener has tried in vain")
    lived_in.control("start", "redis")
    assert (await report(link, "shard_00")).pid == pid
    assert no_event_was_stuck(lived_in)


async def test_a_killed_listener_comes_back_and_gets_what_happened_meanwhile(lived_in: House, link: RedisLink) -> None:
    listener, shard = lived_in.pid("exits"), lived_in.pid("shard:shard_00")
    os.kill(listener, signal.SIGKILL)
    os.kill(shard, signal.SIGKILL)
    assert (await report(link, "shard_00")).pid == shard
    assert lived_in.pid("exits") != listener
    assert no_event_was_stuck(lived_in)


async def test_the_end_of_another_program_is_no_exit_of_a_shard(lived_in: House, link: RedisLink) -> None:
    os.kill(lived_in.pid("coordinator"), signal.SIGKILL)
    lived_in.control("stop", "shard:shard_00")
    await report(link, "shard_00")
    assert list(await Exits(link).all(["coordinator", *SHARDS])) == ["shard_00"]


async def test_it_ends_when_supervisord_does(running: House) -> None:
    until(lambda: running.states()["exits"] == "RUNNING", "the listener listens")
    exits = running.pid("exits")
    running.started[0].send_signal(signal.SIGINT)
    assert running.started[0].wait(60) == 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(exits, 0)
        pytest.fail("the listener outlived supervisord")
    assert "lost" not in running.log("exits")
