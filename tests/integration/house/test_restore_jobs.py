"""Many sessions are asked to be connected again, and the job says how far that is."""

import signal
from typing import Any

from tests.integration.house.conftest import Open
from tests.integration.house.house import House, random_phone, until

PATH = "/api/whatsapp/restore"


async def finished(house: House, job_id: str) -> dict[str, Any]:
    async def probe() -> dict[str, Any] | None:
        job: dict[str, Any] = (await house.http.get(f"{PATH}/{job_id}")).json()
        return job if job["state"] == "done" else None

    return dict(await until(f"{job_id} is done", probe))


async def test_stopped_and_lost_sessions_are_connected_again_by_one_request(open_house: Open) -> None:
    async with open_house(shards=2) as house:
        phones = [random_phone() for _ in range(3)]
        runs, stopped, lost = [await house.link(f"u{i}", phone) for i, phone in enumerate(phones)]
        user = (await house.session(lost))["user_id"]
        for session_id in (stopped, lost):
            await house.http.post(f"/api/whatsapp/sessions/{session_id}/stop")
            await house.status(session_id, "stopped")
        await house.forget(lost)

        asked = [runs, stopped, "nobody", {"session_id": lost, "workspace_id": "1", "user_id": user}]
        answer = await house.http.post(PATH, json={"sessions": asked})
        assert answer.status_code == 202, answer.text
        job = await finished(house, answer.json()["job_id"])

        assert (job["total"], job["connected"], job["unknown"]) == (3, 3, ["nobody"])
        assert (await house.session(lost))["user_id"] == user
        for session_id, phone in zip((runs, stopped, lost), phones, strict=True):
            assert (await house.session(session_id))["status"] == "connected"
            assert (await house.device(phone))["stale_logins"] == 0
            assert house.receiver.kinds(session_id).count("qr") == 1

        async def told() -> dict[str, Any] | None:
            found = [e for e in house.receiver.events if e["event"] == "restore_completed"]
            return found[0] if found else None

        event = await until("the end of the job is told", told)
        assert (event["session_id"], event["data"]["connected"]) == (None, 3)


async def test_a_job_goes_on_after_the_coordinator_was_killed(open_house: Open) -> None:
    async with open_house(shards=1) as house:
        session_id = await house.link("u", random_phone())
        await house.http.post(f"/api/whatsapp/sessions/{session_id}/stop")
        await house.status(session_id, "stopped")
        answer = await house.http.post(PATH, json={"sessions": [session_id]})
        await house.stop("coordinator", signal.SIGKILL)
        await house.start("coordinator")
        await until("the coordinator answers", house.ready)
        assert (await finished(house, answer.json()["job_id"]))["connected"] == 1


async def test_the_command_follows_its_job_to_the_end(open_house: Open) -> None:
    async with open_house() as house:
        session_id = await house.link("u", random_phone())
        await house.http.post(f"/api/whatsapp/sessions/{session_id}/stop")
        await house.status(session_id, "stopped")
        done = await house.blazz("restore", session_id)
        assert (done.code, "1 connected" in done.output) == (0, True), done.output
        missing = await house.blazz("restore", "nobody")
        assert (missing.code, "1 that nobody knows: nobody" in missing.output) == (1, True), missing.output
        refused = await house.blazz("restore", "--source", "platform")
        assert (refused.code, "invalid_input" in refused.output) == (64, True), refused.output
        await house.stop("coordinator")
        away = await house.blazz("restore", session_id)
        assert (away.code, "(coordinator_unavailable)" in away.output) == (69, True), away.output
