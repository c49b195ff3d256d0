"""The control API answers bad input with a reason, and nobody outside this machine."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.integration.standin.device import control
from tests.standin import StandIn

QR = "2@x,AAAA,AAAA,AAAA"


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("scan", {}),
        ("scan", {"qr": "too,short", "phone": "5511999990000"}),
        ("scan", {"qr": 5, "phone": "5511999990000"}),
        ("scan", {"qr": QR, "phone": "+55 11"}),
        ("scan", {"qr": QR + "!", "phone": "5511999990000"}),
        ("scan", {"qr": QR, "phone": "5511999990000", "pushname": []}),
        ("link", {"code": "ABCD"}),
        ("revoke", {"device": "one"}),
        ("revoke", {"phone": 5511999990000}),
        ("inbound", {"body": "nobody sent this"}),
        ("inbound", {"from": "status@broadcast"}),
        ("inbound", {"from": "5511888880001@c.us", "type": "image"}),
        ("inbound", {"from": "5511888880001@c.us", "type": "sticker"}),
        ("inbound", {"from": "5511888880001@c.us", "type": "location", "lat": 91, "lng": 0}),
        ("inbound", {"from": "5511888880001@c.us", "quoted": "none"}),
        ("react", {"id": "none", "emoji": "x"}),
        ("edit", {"id": "none", "body": "x"}),
        ("revoke_message", {"id": "none"}),
        ("inbound", {"from": "5511888880001@c.us", "body": 7}),
        ("receipt", {"id": "A", "from": "5511888880001", "ack": 9}),
        ("receipt", {"id": "A", "from": "5511888880001", "ack": True}),
        ("drop", {"device": 1.5}),
        ("config", {"nonsense": 1}),
        ("config", {"sync_ms": "fast"}),
        ("config", {"sync_ms": -1}),
        ("config", {"csp": 1}),
        ("config", {"sw_mb": 1e9}),
    ],
)
async def test_bad_input_is_a_400_that_names_the_field(standin: StandIn, action: str, body: dict[str, Any]) -> None:
    status, answer = await control(standin, action, **body)
    assert (status, answer["ok"]) == (400, False)
    assert answer["error"]


@pytest.mark.parametrize("raw", [b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"device": NaN}'])
@pytest.mark.parametrize("action", ["scan", "revoke", "config"])
async def test_what_is_not_a_json_object_is_a_400(standin: StandIn, action: str, raw: bytes) -> None:
    async with aiohttp.ClientSession() as http:
        for kind in ("application/json", "application/json; charset=nonsense"):
            url = f"{standin.control_url}/{action}"
            async with http.post(url, data=raw, headers={"Content-Type": kind}) as response:
                assert response.status == 400
                assert (await response.json())["ok"] is False


async def test_settings_change_all_or_none(standin: StandIn) -> None:
    assert (await control(standin, "config", sync_ms=5, refs=0))[0] == 400
    assert standin.options.sync_ms == 100
    assert await control(standin, "config", sync_ms=5, auto_ack=False) == (200, {"ok": True})
    assert (standin.options.sync_ms, standin.options.auto_ack) == (5, False)


async def test_requests_for_other_host_names_are_refused(standin: StandIn) -> None:
    async with aiohttp.ClientSession() as http:
        for base in (standin.url, standin.control_url + "/state"):
            async with http.get(base, headers={"Host": "attacker.example"}) as response:
                assert response.status == 421
        async with http.get(standin.url, headers={"Host": "web.whatsapp.com"}) as response:
            assert response.status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_it_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        StandIn(host=host)


async def test_bulk_files_have_the_size_that_was_asked_for() -> None:
    async with StandIn(sw_mb=1.2) as standin, aiohttp.ClientSession() as http:
        async with http.get(standin.url + "rsrc/manifest.json") as response:
            urls = await response.json()
        sizes = []
        for url in urls:
            async with http.get(standin.url + url[1:]) as response:
                sizes.append(len(await response.read()))
        async with http.get(standin.url + "rsrc/s/99.js") as response:
            assert response.status == 404
    assert 1_190_000 < sum(sizes) <= 1_200_000
