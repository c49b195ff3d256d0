"""Whoever guesses tokens is slowed down by the address of the connection, whatever headers say."""

from pathlib import Path

from tests.integration.coordinator.coordinators import Coordinators


async def test_a_forged_forwarding_header_gives_no_new_tries(redis_url: str, tmp_path: Path) -> None:
    async with Coordinators(tmp_path, redis_url, AUTH_FAILURES_PER_MINUTE="5") as coordinators:
        _, client = await coordinators.start()
        await coordinators.listening(client)
        codes = []
        for number in range(8):
            headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": f"10.0.0.{number}"}
            codes.append((await client.get("/api/whatsapp/sessions", headers=headers)).status_code)
    assert codes == [401] * 5 + [429] * 3
