"""Snapshots of real Chromium profiles, opened again by a fresh Chromium."""

import asyncio
import shutil
from functools import partial
from pathlib import Path

import pytest

from daemon.core.clock import utc_now
from shards.archive.pack import ManifestFacts, pack
from shards.archive.unpack import UnpackLimits, unpack
from shards.profile.snapshot import fingerprint, take_clean, take_live
from tests.integration.profile.conftest import Open

ROUNDS = 10
GROWN_SCRIPT = """new Promise((ok) => {
  const began = acknowledged;
  const look = () => (acknowledged > began + 20 ? ok(acknowledged) : setTimeout(look, 20));
  look();
})"""


def facts(generation: int, *, clean: bool) -> ManifestFacts:
    return ManifestFacts(
        session_id="s", workspace_id="w", user_id="u", token=1, generation=generation,
        created_at=utc_now(), chromium="156.0.0.0", clean=clean,
    )  # fmt: skip


def snapshot_to_profile(profile: Path, work: Path, number: int, *, clean: bool) -> Path:
    """Take a snapshot, pack it and unpack it to a new profile."""
    files = work / f"files-{number}"
    if clean:
        take_clean(profile, files)
    else:
        take_live(profile, files, extra={"overlay.json": b"{}"})
    pack(files, facts(number, clean=clean), work / f"{number}.zip")
    shutil.rmtree(files)
    restored = work / f"restored-{number}"
    unpack(work / f"{number}.zip", restored, limits=UnpackLimits(), session_id="s")
    return restored


@pytest.mark.timeout(110)
async def test_a_page_that_writes_hard_loses_nothing_in_live_snapshots(open_page: Open, tmp_path: Path) -> None:
    profile, expected = tmp_path / "profile", []
    async with open_page(profile) as page:
        await page.run("login()")
        await page.run("start()")
        for number in range(ROUNDS):
            acknowledged = await page.run(GROWN_SCRIPT)
            take = partial(snapshot_to_profile, profile, tmp_path, number, clean=False)
            expected.append((acknowledged, await asyncio.to_thread(take)))
        assert await page.run("acknowledged") > expected[-1][0], "the page stood still during the last snapshot"
    for acknowledged, restored in expected:
        async with open_page(restored) as page:
            found = await page.run("look()")
        assert found["signed"], "the login key is lost"
        assert found["last"] >= acknowledged, "a write that was acknowledged before the snapshot is missing"
        assert found["unreadable"] == 0 and found["blobs"] > 0
        assert (restored / "overlay.json").read_bytes() == b"{}"


async def test_a_clean_snapshot_has_everything_even_what_is_written_late(open_page: Open, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    async with open_page(profile) as page:
        await page.run("login()")
        await page.run("localStorage.setItem('last', '7')")
        await page.run("document.cookie = 'seen=yes; max-age=9999'")
        await page.leave()
    before = fingerprint(profile)
    restored = snapshot_to_profile(profile, tmp_path, 1, clean=True)
    assert fingerprint(profile) == before
    async with open_page(restored) as page:
        found = await page.run("look()")
        assert (found["signed"], found["local"]) == (True, 7)
        assert await page.run("document.cookie") == "seen=yes"


async def test_an_idle_page_keeps_its_fingerprint_and_a_write_changes_it(open_page: Open, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    async with open_page(profile) as page:
        await page.run("login()")
        before = fingerprint(profile)
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
