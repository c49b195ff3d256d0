"""What a restored session downloads: nothing that this machine has already."""

import shutil
import signal

import httpx

from daemon.core.sections import BrowserSettings
from shards.browser.version import binary_version
from shards.cli.making import fill_caches
from shards.page.script import page_origin
from shards.profile.template import TemplateKey, seal
from tests.integration.house.conftest import Open
from tests.integration.house.house import House, random_phone, until
from tests.standin.site import WA_VERSION

SHARD = "shard_00"
FILES = 4
"""Half of them in the HTTP cache and half in the service worker's; a few hundred kilobytes each."""


def heavy(house: House) -> House:
    """Give the page the bulk that fills caches."""
    house.standin.options.change({"http_mb": 1.0, "sw_mb": 1.0})
    return house


async def downloaded(house: House) -> int:
    """Return how many bulk files were downloaded so far, by all sessions."""
    async with httpx.AsyncClient(timeout=20) as client:
        return int((await client.get(f"{house.standin.control_url}/state")).json()["bulk_requests"])


async def settled(house: House, count: int) -> None:
    """Wait until so many files were downloaded, and all are in the caches on disk."""

    async def all_there() -> bool:
        return await downloaded(house) >= count and _cached_bytes(house) >= 2_000_000

    await until("the caches are filled", all_there)


def _cached_bytes(house: House) -> int:
    profiles = house.home.glob(f"profiles/{SHARD}/sessions/*/Default")
    caches = [folder / name for folder in profiles for name in ("Cache", "Service Worker")]
    return sum(path.stat().st_size for cache in caches for path in cache.rglob("*_[01]"))


async def test_a_restore_after_a_kill_carries_over_the_sessions_own_caches(open_house: Open) -> None:
    async with heavy(open_house(SHARD_GRACE_MS="60000")) as house:
        phone = random_phone()
        session_id = await house.link("u", phone)
        await settled(house, FILES)
        await house.stop(SHARD, signal.SIGKILL)
        await house.start(SHARD)
        restored = await house.event(session_id, "session_restored")
        assert restored["data"]["source"] == "redis"
        await house.status(session_id, "connected")
        await house.archived(session_id)
        assert await downloaded(house) == FILES
        logins = await house.device(phone)
        assert (logins["stale_logins"], logins["failed_logins"]) == (0, 0)


async def test_a_wiped_session_is_restored_on_a_template_and_downloads_nothing(open_house: Open) -> None:
    async with heavy(open_house(SHARD_GRACE_MS="60000", PAGE_TEMPLATE="on")) as house:
        root, browser = house.home / "profiles", BrowserSettings(WHATSAPP_WEB_URL=house.standin.url)
        home = house.home / "making"
        home.mkdir()
        made, phone = await fill_caches(browser, home, settle_s=0.75), random_phone()
        key = TemplateKey(
            chromium=await binary_version(browser.chromium_path),
            binary=browser.chromium_path.name,
            origin=page_origin(browser.web_url),
        )
        sealed = seal(made.profile_dir, root, key, made.wa_version)
        assert sealed.wa_version == WA_VERSION and sealed.size_bytes > 2_000_000
        session_id = await house.link("u", phone)
        await settled(house, 2 * FILES)
        await house.stop(SHARD, signal.SIGKILL)
        shutil.rmtree(root / SHARD)
        await house.start(SHARD)
        assert (await house.event(session_id, "session_restored"))["data"]["source"] == "redis"
        await house.status(session_id, "connected")
        await house.archived(session_id)
        assert await downloaded(house) == 2 * FILES
        logins = await house.device(phone)
        assert (logins["stale_logins"], logins["failed_logins"]) == (0, 0)
        assert "page template placed" in house.logs()
