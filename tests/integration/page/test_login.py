"""How a session gets in and out: QR, pairing code, conflict, logout, and what a restored profile does."""

from shards.page.events import PageEventKind
from shards.page.overlay import Overlay
from shards.page.state import PageState
from tests.integration.browser.rig import eventually
from tests.integration.page.phone import PHONE, World


async def test_the_qr_code_changes_and_a_scan_connects(world: World) -> None:
    async with world.page() as opened:
        first = await eventually(opened.page.snapshot, lambda taken: taken.qr is not None)
        assert first.qr is not None
        assert first.qr not in repr(first)
        rotated = await eventually(opened.page.snapshot, lambda taken: taken.qr not in {None, first.qr})
        await opened.page.refresh_qr()
        fresh = await eventually(opened.page.snapshot, lambda taken: taken.qr not in {None, first.qr, rotated.qr})
        await world.tell("config", sync_ms=3000)
        await world.tell("scan", qr=fresh.qr, phone=PHONE, pushname="Ana")
        syncing = await opened.state(PageState.SYNCING)
        assert syncing.qr is None
        done = await opened.state(PageState.CONNECTED)
        assert (done.phone, done.pushname, done.mode, done.socket) == (PHONE, "Ana", "MAIN", "CONNECTED")
        assert done.missing_modules == 0
        await opened.event(PageEventKind.STATE_HINT)


async def test_a_pairing_code_connects(world: World) -> None:
    async with world.page() as opened:
        await opened.state(PageState.QR)
        code = await opened.page.pairing_code(PHONE)
        shown = await opened.state(PageState.PAIRING)
        assert shown.pairing_code == code
        assert len(code) == 8
        await world.tell("link", code=code, phone=PHONE)
        assert (await opened.state(PageState.CONNECTED)).phone == PHONE


async def test_the_same_profile_connects_again_without_a_scan(world: World) -> None:
    async with world.paired():
        pass
    async with world.page() as opened:
        # Never a QR on the way: it would make the caller think that the login is lost.
        states = set()

        async def look() -> PageState:
            states.add((await opened.page.snapshot()).state)
            return (await opened.page.snapshot()).state

        await eventually(look, lambda state: state is PageState.CONNECTED)
        assert PageState.QR not in states


async def test_the_overlay_brings_back_what_the_disk_never_got(world: World) -> None:
    cookie = {"name": "wa_test", "value": "v", "url": world.standin.url}
    async with world.paired() as opened:
        await opened.connection.cdp("Network.setCookie", cookie, timeout_s=5)
        overlay = Overlay.from_json((await opened.page.capture_overlay()).to_json())
        assert [cookie["name"] for cookie in overlay.cookies] == ["wa_test"]
    world.lose("session", "Local Storage")
    (world.directory / "session/profile/Default/Cookies").unlink(missing_ok=True)
    async with world.page(overlay=overlay) as opened:
        await opened.state(PageState.CONNECTED)
        again = await opened.page.capture_overlay()
        assert again.local_storage.keys() >= overlay.local_storage.keys()
        assert again.cookies == overlay.cookies
    device = (await world.ask("state"))["devices"][0]
    assert (device["failed_logins"], device["stale_logins"]) == (0, 0)


async def test_an_overlay_never_comes_back_after_a_logout(world: World) -> None:
    async with world.paired() as opened:
        overlay = await opened.page.capture_overlay()
    async with world.page(overlay=overlay) as opened:
        await opened.state(PageState.CONNECTED)
        await world.tell("revoke", phone=PHONE)
        # The page wipes itself and reloads, with a QR code that belongs to nobody yet.
        await opened.state(PageState.LOGGED_OUT)
        await eventually(lambda: world.ask("state"), lambda state: len(state["unpaired"]) == 1)
        assert (await opened.page.snapshot()).state is PageState.LOGGED_OUT
        assert "last-wid-md" not in (await opened.page.capture_overlay()).local_storage


async def test_a_revoked_device_is_told_once_with_its_reason(world: World) -> None:
    async with world.paired() as opened:
        await world.tell("revoke", phone=PHONE, reason="device_removed")
        assert (await opened.event(PageEventKind.LOGGED_OUT))["reason"] == "device_removed"
        await opened.state(PageState.LOGGED_OUT)
        await eventually(lambda: world.ask("state"), lambda state: len(state["unpaired"]) == 1)
        await opened.state(PageState.LOGGED_OUT)
        assert [told.kind for told in opened.told].count(PageEventKind.LOGGED_OUT) == 1


async def test_logout_unlinks_the_device(world: World) -> None:
    async with world.paired() as opened:
        await opened.page.logout()
        assert (await opened.page.snapshot()).state is PageState.LOGGED_OUT
        assert (await world.ask("state"))["devices"][0]["revoked"] == "logout"


async def test_the_same_device_elsewhere_is_a_conflict(world: World) -> None:
    async with world.paired() as opened:
        await world.tell("replace", phone=PHONE)
        taken = await opened.state(PageState.CONFLICT)
        assert taken.phone == PHONE
        assert not [told for told in opened.told if told.kind is PageEventKind.LOGGED_OUT]
