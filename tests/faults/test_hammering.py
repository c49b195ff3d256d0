"""Many wishes at once: whatever the order, a session settles in what was wanted last, with its newest state."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable

from tests.integration.house.conftest import Open
from tests.integration.house.house import random_phone, until


async def hammer(clients: int, seconds: float, blow: Callable[[random.Random], Awaitable[None]]) -> None:
    """Have several clients call `blow` again and again, each with its own seeded choices."""
    end_mono_s = time.monotonic() + seconds

    async def client(seed: int) -> None:
        choices = random.Random(seed)
        while time.monotonic() < end_mono_s:
            await blow(choices)
            await asyncio.sleep(choices.random() * choices.choice([0.05, 0.5, 1.5]))

    await asyncio.gather(*(client(seed) for seed in range(clients)))


async def test_start_stop_and_restart_from_many_sides_settle_without_a_scan_or_an_old_state(open_house: Open) -> None:
    async with open_house() as house:
        phone = random_phone()
        session_id = await house.link("u", phone)

        async def blow(choices: random.Random) -> None:
            action = choices.choice(["start", "stop", "restart"])
            answer = await house.http.post(f"/api/whatsapp/sessions/{session_id}/{action}")
            assert answer.status_code == 202, answer.text

        await hammer(3, 8, blow)
        await house.http.post(f"/api/whatsapp/sessions/{session_id}/stop")
        await house.status(session_id, "stopped")

        async def none_left() -> bool:
            return not house.browsers()

        await until("no Chromium is left", none_left, timeout_s=5)
        await house.http.post(f"/api/whatsapp/sessions/{session_id}/start")
        await house.status(session_id, "connected")
        assert (await house.device(phone))["stale_logins"] == 0
        assert house.receiver.kinds(session_id).count("qr") == 1


async def test_create_and_delete_from_many_sides_leave_a_whole_session(open_house: Open) -> None:
    async with open_house() as house:
        session_id = await house.create("u")
        body = {"workspace_id": "1", "user_id": session_id.removeprefix("session-").removesuffix("-1")}

        async def blow(choices: random.Random) -> None:
            if choices.random() < 0.5:
                answer = await house.http.post("/api/whatsapp/sessions", json=body)
            else:
                answer = await house.http.delete(f"/api/whatsapp/sessions/{session_id}")
            assert answer.status_code in {202, 204, 404, 409}, answer.text

        await hammer(3, 6, blow)

        async def created() -> bool:
            return (await house.http.post("/api/whatsapp/sessions", json=body)).status_code == 202

        await until("the session can be created", created)
        await house.status(session_id, "qr")
        listed = (await house.http.get("/api/whatsapp/sessions")).json()["sessions"]
        assert [session["session_id"] for session in listed] == [session_id]


async def test_sigterm_while_sessions_start_keeps_what_their_log_ins_did(open_house: Open) -> None:
    async with open_house() as house:
        phones = [random_phone() for _ in range(3)]
        ids = [await house.link(f"u{number}", phone) for number, phone in enumerate(phones)]
        for session_id in ids:
            await house.http.post(f"/api/whatsapp/sessions/{session_id}/restart")
            await house.status(session_id, "starting")
        assert await house.stop("shard_00", signal.SIGTERM) == 0
        await house.start("shard_00")
        for session_id, phone in zip(ids, phones, strict=True):
            await house.event(session_id, "session_restored")
            await house.status(session_id, "connected")
            assert (await house.device(phone))["stale_logins"] == 0
