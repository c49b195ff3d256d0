"""Snapshots of real Chromium profiles, opened again by a fresh Chromium."""

import asyncio
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shards.page.overlay import OVERLAY_FILE, Overlay, apply_overlay, capture_overlay
from shards.profile.mending import mend
from shards.profile.snapshot import fingerprint, take_clean, take_live
from tests.integration.browser.rig import connected, spec_in
from tests.integration.profile.copies import through_archive
from tests.integration.profile.rig import Open

OPENED: list[str] = []
"""Files that this process opens while `opened_files` is in use."""
WATCHING = [False]


def watch(event: str, args: tuple[Any, ...]) -> None:
    if WATCHING[0] and event == "open":
        OPENED.append(str(args[0]))


sys.addaudithook(watch)


@pytest.fixture
def opened_files() -> Iterator[list[str]]:
    OPENED.clear()
    WATCHING[0] = True
    yield OPENED
    WATCHING[0] = False


async def test_a_clean_snapshot_has_everything_even_what_is_written_late(open_page: Open, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    async with open_page(profile, lean=False) as page:
        await page.run("login()")
        await page.run("localStorage.setItem('last', '7')")
        await page.run("document.cookie = 'seen=yes; max-age=9999'")
        await page.leave()
    before = fingerprint(profile)
    take_clean(profile, tmp_path / "files")
    restored = through_archive(tmp_path / "files", 1, clean=True)
    assert fingerprint(profile) == before
    async with open_page(restored) as page:
        found = await page.run("look()")
        assert (found["signed"], found["local"]) == (True, 7)
        assert await page.run("document.cookie") == "seen=yes"


async def test_a_login_of_one_second_ago_survives_kill_9(origin: str, tmp_path: Path) -> None:
    address = origin.rstrip("/")

    async def run(connection: Any, script: str) -> Any:
        answer = await connection.cdp(
            "Runtime.evaluate", {"expression": script, "awaitPromise": True, "returnByValue": True}, timeout_s=10
        )
        return answer["result"].get("value")

    async with connected(spec_in(tmp_path)) as (process, connection):
        await connection.cdp("Page.navigate", {"url": origin}, timeout_s=10)
        await asyncio.wait_for(until_loaded(lambda: run(connection, "typeof login")), 10)
        await run(connection, "login()")
        await run(connection, "localStorage.setItem('last', '7'); document.cookie = 'seen=yes; max-age=9999'")
        overlay = await capture_overlay(connection, origin=address, timeout_s=10)
        extra = {OVERLAY_FILE: overlay.to_json()}
        await asyncio.to_thread(partial(take_live, tmp_path / "profile", tmp_path / "files", extra=extra))
        process.kill()
    restored = await asyncio.to_thread(through_archive, tmp_path / "files", 1)
    async with connected(spec_in(tmp_path, profile_dir=restored)) as (_, connection):
        kept = Overlay.from_json((restored / OVERLAY_FILE).read_bytes())
        await apply_overlay(connection, kept, timeout_s=10)
        await connection.cdp("Page.navigate", {"url": origin}, timeout_s=10)
        await asyncio.wait_for(until_loaded(lambda: run(connection, "typeof look")), 10)
        found = await run(connection, "look()")
        assert (found["signed"], found["local"]) == (True, 7)
        assert await run(connection, "document.cookie") == "seen=yes"


async def until_loaded(kind: Any) -> None:
    while await kind() != "function":
        await asyncio.sleep(0.02)


async def test_a_profile_of_a_killed_chromium_keeps_its_login_once_it_is_mended(
    open_page: Open, tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    async with open_page(profile) as page:
        await page.run("login()")
        await page.run("append()")
    log = max(profile.glob("Default/IndexedDB/*.leveldb/*.log"))
    # As if it had been killed in the middle of its next append.
    log.write_bytes(log.read_bytes() + log.read_bytes()[:1000])
    assert mend(profile) == (log.relative_to(profile).as_posix(),)
    for last in (1, 2):
        async with open_page(profile) as page:
            assert await page.run(f"append({last})") == last + 1
        assert mend(profile) == ()
    async with open_page(profile) as page:
        found = await page.run("look()")
    assert (found["signed"], found["last"]) == (True, 3)


async def test_an_idle_page_keeps_its_fingerprint_and_a_write_changes_it(
    open_page: Open, tmp_path: Path, opened_files: list[str]
) -> None:
    profile = tmp_path / "profile"
    async with open_page(profile) as page:
        await page.run("login()")
        opened_files.clear()
        before = fingerprint(profile)
        assert fingerprint(profile) == before
        assert opened_files == [], "no file is read to find out that nothing changed"
        await page.run("login()")
        assert fingerprint(profile) != before


async def test_a_snapshot_holds_no_caches_locks_or_temporary_files(open_page: Open, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    async with open_page(profile) as page:
        await page.run("login()")
        taken = await asyncio.to_thread(partial(take_live, profile, tmp_path / "files", extra={}))
    assert any(path.startswith("Default/IndexedDB/") for path in taken.paths)
    allowed = ("Default/IndexedDB/", "Default/Local Storage/leveldb/", "Default/Cookies", "Default/Network/Cookies")
    assert all(path.startswith(allowed) for path in taken.paths)
    assert not any(path.rpartition("/")[2] in {"LOCK", "LOG", "LOG.old"} for path in taken.paths)
