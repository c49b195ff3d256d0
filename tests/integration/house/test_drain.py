"""Draining a shard with real sessions: handed over with a last backup, connected elsewhere without a QR code."""

import asyncio
import json
from typing import Any

from tests.integration.house.conftest import Open
from tests.integration.house.house import House, random_phone, until


async def _drain_done(house: House, name: str) -> dict[str, Any] | None:
    shard = (await house.http.get(f"/api/whatsapp/shards/{name}")).json()
    return shard if shard["drain"]["left"] == 0 and shard["drain"]["moving"] == 0 else None


async def test_a_drained_shard_hands_its_sessions_over_and_stays_empty(open_house: Open) -> None:
    async with open_house(shards=2, DRAIN_PARALLEL="2") as house:
        linked = [await house.link(str(number), random_phone()) for number in range(3)]
        places = {i: (await house.session(i))["shard"] for i in linked}
        name = max(set(places.values()), key=list(places.values()).count)
        other = next(n for n in house.shard_names if n != name)
        asked = await house.http.post(f"/api/whatsapp/shards/{name}/drain")
        assert asked.status_code == 202, asked.text
        assert asked.json()["drain"]["total"] == list(places.values()).count(name)
        await until("drained", lambda: _drain_done(house, name), timeout_s=60)
        for session_id in linked:
            shown = await house.session(session_id)
            assert (shown["status"], shown["runs_on"], shown["shard"]) == ("connected", other, other)
            assert shown["moving_from"] is None
            if places[session_id] == name:
                assert shown["restored_from"] is not None
                assert "qr" not in house.receiver.kinds(session_id)[2:]
        # A restart does not end a drain, and nothing new comes.
        await house.stop(name)
        await house.start(name)
        await until("the shard is back", house.ready)
        new = await house.create("new")
        assert (await house.session(new))["shard"] == other
        # Asking again changes nothing.
        again = await house.http.post(f"/api/whatsapp/shards/{name}/drain")
        assert again.json()["drain"]["since"] == asked.json()["drain"]["since"]
        undrained = await house.blazz("shards", "undrain", name)
        assert undrained.code == 0, undrained.output
        assert (await house.http.get(f"/api/whatsapp/shards/{name}")).json()["drain"] is None


async def test_the_command_follows_a_drain_says_what_blocks_it_and_knows_no_strange_names(open_house: Open) -> None:
    async with open_house(shards=1) as house:
        session_id = await house.create("only")
        await house.status(session_id, "qr")
        blocked = await house.blazz("shards", "drain", "shard_00", "--timeout", "15")
        assert blocked.code == 75, blocked.output
        assert "no other shard takes sessions" in blocked.output
        assert (await house.session(session_id))["status"] == "qr"
        house.shard_names.append("shard_01")
        await house.start("shard_01")
        followed = await house.blazz("shards", "drain", "shard_00", "--json", "--timeout", "60")
        assert followed.code == 0, followed.output
        assert json.loads(followed.output.splitlines()[-1])["drain"]["left"] == 0
        assert (await house.status(session_id, "qr"))["runs_on"] == "shard_01"
        listed, strange, shown = await asyncio.gather(
            house.blazz("shards", "list"),
            house.blazz("shards", "drain", "shard_99"),
            house.blazz("shards", "show", "shard_00"),
        )
        assert "drained" in listed.output
        assert (strange.code, "shard_not_found" in strange.output) == (64, True)
        assert "drain.left" in shown.output
