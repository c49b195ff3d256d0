"""A Laravel application on a whole house: coordinator, shard, Chromium and stand-in, and the code of docs/laravel.md.

One house and one linked session for all tests of the file.
"""

import asyncio
import contextlib
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import redis

from daemon.webhooks.signature import sign
from tests.integration.house.house import SECRET, TOKEN, House, random_phone, until
from tests.php.application import WEBHOOK_PATH, Console, LaravelApplication, Thrown
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRIEND = "+5511888880001"
Json = dict[str, Any]


class LaravelHouse(House):
    """A house whose receiver of webhooks is Laravel, with a queue worker."""

    laravel: LaravelApplication
    console: Console
    web: str
    phone_number: str
    session_id: str

    async def prepare(self) -> None:
        self._open = contextlib.ExitStack()
        self.laravel = LaravelApplication(
            self.home / "laravel",
            url=f"http://127.0.0.1:{self.port}",
            token=TOKEN,
            secrets=SECRET,
            BLAZZ_WORKSPACE="7",
        )
        self.web = self._open.enter_context(self.laravel.served())
        self.console = self._open.enter_context(self.laravel.console())
        self._open.enter_context(self.laravel.working())
        self.change(LARAVEL_WEBHOOK=self.web + WEBHOOK_PATH)

    async def __aexit__(self, *ending: Any) -> None:
        await super().__aexit__(*ending)
        self._open.close()

    async def call(self, method: str, **arguments: Any) -> Any:
        """Call a method of the documented client; the stand-in lives in this process and must go on meanwhile."""
        return await asyncio.to_thread(self.console.call, method, **arguments)

    async def refused(self, method: str, **arguments: Any) -> Thrown:
        with pytest.raises(Thrown) as thrown:
            await self.call(method, tries=1, **arguments)
        return thrown.value

    async def row(self, query: str, *values: object) -> Json:
        """Wait for a row in Laravel's database."""

        async def probe() -> Json | None:
            rows = self.laravel.rows(query, *values)
            return rows[0] if rows else None

        try:
            return dict(await until(f"{query} {values}", probe))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.laravel.logs()[-3000:]}") from None

    async def known(self, session_id: str, status: str) -> Json:
        """Wait until Laravel knows a session in this state."""
        return await self.row("select * from whatsapp_sessions where session_id = ? and status = ?", session_id, status)

    def new_key(self) -> str:
        return str(uuid.uuid4())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(redis_url: str, s3: S3Server) -> AsyncIterator[LaravelHouse]:
    home = Path(tempfile.mkdtemp(prefix="h"))
    redis.Redis.from_url(redis_url).flushall()
    try:
        async with LaravelHouse(home, redis_url, s3.environment(), SEND_MIN_INTERVAL_MS="0") as house:
            house.phone_number = random_phone()
            created = await house.call("createSession", workspaceId=7, userId=house._mark, metadata={"team": "blue"})
            house.session_id = created["session_id"]
            assert created["created"] is True
            await _scan(house)
            await house.known(house.session_id, "connected")
            yield house
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def _scan(house: LaravelHouse) -> None:
    """Fetch the code as Laravel does, in each of its forms, and scan it."""

    async def shown() -> Any:
        try:
            return await house.call("qrText", sessionId=house.session_id, tries=1)
        except Thrown as refused:
            assert refused.kind == "CodeNotAvailableException"
            return None

    await until("a QR code", shown)
    # Laravel's own page shows it to its owner as a picture, and knows the code by webhook.
    assert (await house.known(house.session_id, "qr"))["code"]
    async with httpx.AsyncClient(timeout=20, headers={"X-Test-User": str(house._mark)}) as browser:
        png = await browser.get(f"{house.web}/whatsapp/sessions/{house.session_id}/qr")
    assert (png.headers["content-type"], png.content[:4]) == ("image/png", b"\x89PNG")
    # The newest: codes change.
    await house.phone("scan", qr=await until("a QR code", shown), phone=house.phone_number, pushname="Test")


async def _all_out(house: House) -> list[Json]:
    """Return the messages that WhatsApp got from this side."""
    async with httpx.AsyncClient(timeout=20) as client:
        messages = (await client.get(f"{house.standin.control_url}/messages")).json()
    return [m for m in messages if m["dir"] == "out"]


async def _out(house: House, body: str) -> list[Json]:
    """Return those of this text."""
    return [m for m in await _all_out(house) if m["body"] == body]


async def test_ready_is_told_and_the_code_is_forgotten(house: LaravelHouse) -> None:
    row = await house.known(house.session_id, "connected")
    assert (row["phone"], row["code"], row["workspace_id"]) == (house.phone_number, None, "7")
    shown = await house.call("session", sessionId=house.session_id)
    assert (shown["status"], shown["metadata"]) == ("connected", {"team": "blue"})
    again = await house.call("createSession", workspaceId=7, userId=house._mark)
    assert (again["session_id"], again["created"]) == (house.session_id, False)
    listed = await house.call("sessions", filters={"workspace_id": "7", "status": "connected"}, pageSize=1)
    assert [session["session_id"] for session in listed] == [house.session_id]


async def test_a_send_that_is_repeated_with_its_key_goes_out_once(house: LaravelHouse) -> None:
    key, text = house.new_key(), f"once {house.new_key()} 😀"
    first = await house.call("sendText", sessionId=house.session_id, to=FRIEND, text=text, key=key)
    assert first["outcome"] == "sent" and first["messageId"]
    again = await house.call("sendText", sessionId=house.session_id, to=FRIEND, text=text, key=key)
    assert (again["messageId"], again["replayed"]) == (first["messageId"], True)
    assert len(await _out(house, text)) == 1
    known = await house.call("outcomeOf", sessionId=house.session_id, key=key)
    assert (known["outcome"], known["messageId"]) == ("sent", first["messageId"])
    other = await house.refused("sendText", sessionId=house.session_id, to=FRIEND, text="other", key=key)
    assert (other.kind, other.facts["code"]) == ("InvalidInputException", "idempotency_key_reused")


async def test_the_outbox_sends_and_the_read_ack_arrives(house: LaravelHouse) -> None:
    text = f"outbox {house.new_key()}"
    place = f"return App\\Models\\WhatsappOutbox::place('{house.session_id}', '{FRIEND}', ['message' => '{text}'])->id;"
    row_id = await asyncio.to_thread(house.console.run, place)
    sent = await house.row("select * from whatsapp_outbox where id = ? and status = 'sent'", row_id)
    message = await house.row("select * from whatsapp_messages where message_id = ? and ack = 3", sent["message_id"])
    assert (message["body"], message["direction"], message["session_id"]) == (text, "out", house.session_id)
    assert len(await _out(house, text)) == 1


async def test_an_incoming_message_becomes_one_row(house: LaravelHouse) -> None:
    body = "  olá 😀 'aspas' \\ \u2028 日本  "
    number = FRIEND.removeprefix("+")
    said = await house.phone("inbound", phone=house.phone_number, **{"from": f"{number}@c.us"}, body=body)
    row = await house.row("select * from whatsapp_messages where body = ?", body)
    assert said["delivered"][0]["id"] in row["message_id"]
    assert (row["chat"], row["direction"], row["session_id"]) == (f"{number}@c.us", "in", house.session_id)
    assert abs(time.time() - (await _unix(house, row["sent_at"]))) < 60


async def _unix(house: LaravelHouse, local: str) -> int:
    code = f"return Illuminate\\Support\\Carbon::parse('{local}')->unix();"
    return int(await asyncio.to_thread(house.console.run, code))


async def test_what_the_daemon_told_told_again_by_a_forger_or_late_leaves_nothing(house: LaravelHouse) -> None:
    (told,) = house.laravel.rows("select * from whatsapp_events where event = 'ready'")
    body, now = told["payload"].encode(), int(time.time())
    forged = body.replace(told["event_id"].encode(), b"evt_forged")

    async def post(content: bytes, at: int, secret: str) -> int:
        headers = {"X-Webhook-Timestamp": str(at), "X-Webhook-Signature": sign(secret, at, content)}
        async with httpx.AsyncClient(timeout=20) as client:
            return (await client.post(house.web + WEBHOOK_PATH, content=content, headers=headers)).status_code

    assert await post(forged, now, "the-wrong-secret-of-a-forger") == 401
    assert await post(forged, now - 301, SECRET) == 401
    assert await post(body, now, SECRET) == 204, "the daemon may tell it twice"
    assert house.laravel.rows("select * from whatsapp_events where event_id = 'evt_forged'") == []
    assert house.laravel.rows("select event_id from whatsapp_events where event = 'ready'") == [
        {"event_id": told["event_id"]}
    ]


async def test_problems_of_the_real_daemon_are_typed_exceptions(house: LaravelHouse) -> None:
    text = {"to": FRIEND, "text": "x", "key": house.new_key()}
    missing = await house.refused("session", sessionId="nobody-1")
    assert (missing.kind, missing.facts["code"]) == ("NotFoundException", "session_not_found")
    wrong = await house.refused("sendText", sessionId=house.session_id, **(text | {"to": "not a chat"}))
    assert (wrong.kind, wrong.facts["outcome"], list(wrong.facts["errors"])) == (
        "InvalidInputException",
        "not_sent",
        ["to"],
    )
    shown = await house.refused("qrText", sessionId=house.session_id)
    assert (shown.kind, shown.facts["state"]) == ("CodeNotAvailableException", "connected")
    waits = await house.call("createSession", workspaceId=8, userId=house._mark)
    unscanned = await house.refused("sendText", sessionId=waits["session_id"], **text)
    assert (unscanned.kind, unscanned.facts["outcome"]) == ("SessionNotConnectedException", "not_sent")
    await house.status(waits["session_id"], "qr")
    code = await house.call("pairingCode", sessionId=waits["session_id"], phone=random_phone())
    assert len(code.replace("-", "")) == 8
    assert (await house.known(waits["session_id"], "pairing"))["code"]
    await house.call("delete", sessionId=waits["session_id"])
    await house.call("delete", sessionId=waits["session_id"])
    stranger = "new App\\Services\\Blazz\\BlazzClient(app(Illuminate\\Http\\Client\\Factory::class), '%s', 'wrong')"
    with pytest.raises(Thrown) as refused:
        await asyncio.to_thread(house.console.run, f"return ({stranger % house.http.base_url})->session('x');")
    assert (refused.value.kind, refused.value.facts["code"]) == ("UnauthorizedException", "unauthorized")


async def test_a_file_that_is_sent_again_with_its_key_goes_out_once(house: LaravelHouse, tmp_path: Path) -> None:
    file = tmp_path / "dot.png"
    file.write_bytes(_PNG)
    form = {"sessionId": house.session_id, "to": FRIEND, "caption": f"form {house.new_key()}", "kind": "image"}
    json = form | {"caption": f"json {house.new_key()}", "filename": "dot.png"}
    for method, arguments in (
        ("sendFile", form | {"file": str(file)}),
        ("sendMedia", json | {"content": "plain text", "mimetype": "text/plain", "kind": "document"}),
    ):
        arguments |= {"key": house.new_key()}
        sent = await house.call(method, **arguments)
        again = await house.call(method, **arguments)
        assert (sent["outcome"], sent["replayed"], again["replayed"]) == ("sent", False, True)
        assert again["messageId"] == sent["messageId"]
        (logged,) = [m for m in await _all_out(house) if m["caption"] == arguments["caption"]]
        assert (logged["type"], logged["id"] in sent["messageId"]) == (arguments["kind"], True)


async def test_every_other_kind_of_message_is_sent(house: LaravelHouse) -> None:
    number = FRIEND.removeprefix("+")
    said = await house.phone("inbound", phone=house.phone_number, **{"from": f"{number}@c.us"}, body="quote me")
    quoted = await house.row(
        "select * from whatsapp_messages where message_id like ?", f"%{said['delivered'][0]['id']}%"
    )
    there = await house.call("contact", sessionId=house.session_id, phone=FRIEND)
    assert there["exists"] is True and there["chat_id"].endswith(("@c.us", "@lid"))
    kinds: list[tuple[str, Json]] = [
        ("sendLocation", {"latitude": -23.55, "longitude": -46.63, "name": "São Paulo"}),
        ("sendContact", {"name": "Ana", "phone": FRIEND}),
        ("sendReaction", {"messageId": quoted["message_id"], "emoji": "👍"}),
        ("sendText", {"text": "an answer", "replyTo": quoted["message_id"]}),
    ]
    for method, arguments in kinds:
        sent = await house.call(method, sessionId=house.session_id, to=FRIEND, key=house.new_key(), **arguments)
        assert sent["outcome"] == "sent" and sent["messageId"], method


_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


async def test_stop_start_and_logout_are_wishes_that_are_followed(house: LaravelHouse) -> None:
    session_id = house.session_id
    await house.call("stop", sessionId=session_id)
    await house.call("stop", sessionId=session_id)
    await house.status(session_id, "stopped")
    await asyncio.to_thread(house.laravel.artisan, "blazz:reconcile")
    await house.known(session_id, "stopped")
    stopped = await house.refused("sendText", sessionId=session_id, to=FRIEND, text="x", key=house.new_key())
    assert (stopped.kind, stopped.facts["state"]) == ("SessionNotConnectedException", "stopped")
    await house.call("start", sessionId=session_id)
    await house.status(session_id, "connected")
    await house.call("logout", sessionId=session_id)
    ended = await house.known(session_id, "disconnected")
    assert ended["reason"] == "logged_out"
    await house.call("delete", sessionId=session_id)
    assert (await house.refused("session", sessionId=session_id)).kind == "NotFoundException"
    await asyncio.to_thread(house.laravel.artisan, "blazz:reconcile")
    await house.known(session_id, "gone")


async def test_nothing_failed_in_laravel_and_no_secret_is_in_a_log(house: LaravelHouse) -> None:
    """The last test of the file: it looks at what the others left."""

    async def settled() -> bool:
        return not house.laravel.rows("select * from whatsapp_events where processed_at is null")

    try:
        await until("every event is handled", settled)
    except AssertionError as error:
        jobs = house.laravel.rows("select * from jobs")
        worker = (house.laravel.home / "worker.log").read_text()
        raise AssertionError(f"{error}\n{jobs}\n{worker[-3000:]}\n{house.laravel.logs()[-3000:]}") from None
    assert house.laravel.rows("select exception from failed_jobs") == []
    logs = house.laravel.logs() + house.logs() + (house.laravel.home / "worker.log").read_text()
    assert TOKEN not in logs and SECRET not in logs
