"""Going back to an archive on real parts: nothing newer wins over it, whatever dies in between."""

import signal
from typing import Any

from daemon.core.errors import ArchiveNotFoundError
from tests.integration.house.conftest import Open
from tests.integration.house.house import House, random_phone, until


async def archives_of(house: House, session_id: str, at_least: int) -> list[dict[str, Any]]:
    async def probe() -> list[dict[str, Any]] | None:
        answer = await house.http.get(f"/api/whatsapp/sessions/{session_id}/archives?limit=100")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["archives"]
        return found if len(found) >= at_least else None

    return list(await until(f"{at_least} archives", probe))


async def act(house: House, session_id: str, action: str, status: int = 202, **body: Any) -> dict[str, Any]:
    answer = await house.http.post(f"/api/whatsapp/sessions/{session_id}/{action}", json=body or None)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def restored(house: House, session_id: str, count: int) -> tuple[str, int, int]:
    data = (await house.event(session_id, "session_restored", count))["data"]
    return data["source"], data["token"], data["generation"]


async def test_a_session_goes_back_to_an_archive_and_stays_there_through_kills(open_house: Open) -> None:
    async with open_house() as house:
        session_id = await house.link("u", random_phone())
        chosen = (await archives_of(house, session_id, 1))[0]
        await act(house, session_id, "restart")
        await house.event(session_id, "session_restored")
        await house.status(session_id, "connected")
        newer = (await archives_of(house, session_id, 2))[0]
        assert (newer["token"], newer["generation"]) > (chosen["token"], chosen["generation"])

        missing = await act(house, session_id, "rollback", 404, generation=999_999)
        assert missing["code"] == ArchiveNotFoundError.code
        # Killed as soon as it was asked for: the wish outlives both, and neither disk nor hot copy undo it.
        await act(house, session_id, "rollback", generation=chosen["generation"], token=chosen["token"])
        await house.stop("shard_00", signal.SIGKILL)
        await house.stop("coordinator", signal.SIGKILL)
        await house.start("coordinator")
        await house.start("shard_00")
        assert await restored(house, session_id, 2) == ("r2", chosen["token"], chosen["generation"])
        await house.status(session_id, "connected")

        # What comes after it is the newest again, also for the next start; what it passed over is still there.
        async def newest() -> bool:
            hot = (await house.session(session_id))["hot_copy"]
            return bool(hot and hot["token"] > newer["token"])

        await until("a copy after the rollback", newest)
        await house.stop("shard_00", signal.SIGKILL)
        await house.start("shard_00")
        source, token, _ = await restored(house, session_id, 3)
        assert source == "redis" and token > newer["token"]
        await house.status(session_id, "connected")
        listed = {archive["key"]: archive for archive in await archives_of(house, session_id, 3)}
        assert listed[newer["key"]]["set_aside"] and listed[newer["key"]]["restorable"]
        assert not listed[chosen["key"]]["set_aside"]

        # Forward again, from a stop, to what was passed over.
        await act(house, session_id, "stop")
        await act(house, session_id, "stop")
        await house.status(session_id, "stopped")
        await act(house, session_id, "rollback", generation=newer["generation"], token=newer["token"])
        assert await restored(house, session_id, 4) == ("r2", newer["token"], newer["generation"])
        await house.status(session_id, "connected")

        # A login that was ended cannot be gone back to, and what is repeated is not an error.
        assert (await act(house, session_id, "logout"))["status"] == "disconnected"
        assert (await act(house, session_id, "logout"))["status"] == "disconnected"
        void = await act(house, session_id, "rollback", 409, generation=newer["generation"], token=newer["token"])
        assert void["code"] == "archive_void"
        assert all(archive["void"] for archive in await archives_of(house, session_id, 1))
        assert house.receiver.kinds(session_id).count("qr") == 1
