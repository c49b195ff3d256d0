"""Several endpoints: what each one gets, from where they are configured, changed secrets and changed files."""

import asyncio
import time
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from daemon.core.errors import SettingsError
from daemon.core.sections import WebhookSettings
from daemon.registry.outbox import Outbox
from daemon.sessions.events import EventKind
from daemon.webhooks.configured import Configured, load_endpoints
from daemon.webhooks.signature import verify
from tests.integration.webhooks.conftest import SECRET, Publish, Start
from tests.integration.webhooks.receiver import Delivery, Receiver, running_receiver, until

OLD, NEW = "the-secret-before-this-one", "the-secret-after-the-other"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def read(**values: object) -> WebhookSettings:
    return WebhookSettings.model_validate(values)


async def test_each_endpoint_gets_what_it_wants_and_none_waits_for_another(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start, tmp_path: Path
) -> None:
    async def refuse(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        return web.Response(status=500)

    async with running_receiver() as crm:
        file = write(
            tmp_path / "hooks.toml",
            f"""
            [[endpoint]]
            name = "crm"
            url = "{crm.url}"
            secret = "{NEW}"
            previous_secret = "{OLD}"
            events = ["message", "disconnected"]
            workspaces = [8]
            """,
        )
        receiver.behave = refuse
        await publish("s", 0)
        await publish("t", 1, workspace_id="8")
        await publish("t", 2, EventKind.READY, workspace_id="8")
        await publish("t", 3, EventKind.DISCONNECTED, workspace_id="8")
        async with start(WEBHOOKS_FILE=str(file), WEBHOOK_EVENTS="ready,qr"):
            await until(lambda: crm.numbers("t") == [1, 3], "what the other wants")
            assert {one.number for one in receiver.tries} <= {2}
            async with asyncio.timeout(30):
                while (await outbox.counts()).endpoints["crm"].waiting:
                    await asyncio.sleep(0.005)
            async with asyncio.timeout(30):
                while (await outbox.counts()).endpoints["laravel"].waiting != 1:
                    await asyncio.sleep(0.005)
        assert crm.numbers("s") == []
        got = crm.taken[0]
        timestamp, signature = got.headers["X-Webhook-Timestamp"], got.headers["X-Webhook-Signature"]
        for secret, genuine in ((NEW, True), (OLD, True), (SECRET, False)):
            assert verify(secret, timestamp, got.raw, signature, now=time.time()) is genuine
        assert signature.count("sha256=") == 2


async def test_a_secret_changed_while_events_are_in_flight_signs_what_comes_and_loses_nothing(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start, tmp_path: Path
) -> None:
    release = asyncio.Event()

    async def hold(_request: web.Request, _delivery: Delivery) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    receiver.behave = hold
    secret = write(tmp_path / "crm.secret", OLD)
    file = write(tmp_path / "hooks.toml", f'[[endpoint]]\nname="crm"\nurl="{receiver.url}"\nsecret_file="crm.secret"\n')
    for n in range(12):
        await publish(f"s{n % 3}", n)
    with capture_logs() as lines:
        async with start(LARAVEL_WEBHOOK=None, WEBHOOKS_FILE=str(file)) as running:
            await until(lambda: receiver.open_now == 3, "posts in flight")
            old = running.dispatcher._running["crm"]
            secret.write_text(NEW)
            await until(lambda: any("read again" in line["event"] for line in lines), "the new secret is read")
            await until(old.stop.is_set, "the old delivery posts nothing more")
            release.set()
            await until(lambda: len(receiver.taken) == 12, "all delivered")
    assert [receiver.numbers(f"s{n}") for n in range(3)] == [list(range(n, 12, 3)) for n in range(3)]

    def key_of(got: Delivery) -> str:
        timestamp, signature = got.headers["X-Webhook-Timestamp"], got.headers["X-Webhook-Signature"]
        return next(key for key in (OLD, NEW) if verify(key, timestamp, got.raw, signature, now=time.time()))

    # What was in flight is not posted again: it was taken, signed with the secret of then.
    assert [key_of(got) for got in receiver.tries] == [OLD] * 3 + [NEW] * 9


async def test_a_changed_file_is_read_again_and_a_bad_one_changes_nothing_but_the_log(
    outbox: Outbox, receiver: Receiver, publish: Publish, start: Start, tmp_path: Path
) -> None:
    async with running_receiver() as other:
        entry = f'[[endpoint]]\nname = "crm"\nurl = "{receiver.url}"\nsecret = "{SECRET}"\n'
        file = write(tmp_path / "hooks.toml", entry)
        with capture_logs() as lines:
            async with start(LARAVEL_WEBHOOK=None, WEBHOOKS_FILE=str(file), gone_grace_ms=300):
                await publish("s", 0)
                await until(lambda: receiver.numbers("s") == [0], "by the first file")
                write(file, "[[endpoint]\nsecret = 'this must not be logged'")
                await until(lambda: any(line["log_level"] == "error" for line in lines), "the bad file is told")
                await publish("s", 1)
                await until(lambda: receiver.numbers("s") == [0, 1], "by the first file still")
                write(file, entry.replace(receiver.url, other.url).replace(SECRET, NEW))
                await until(lambda: sum("read again" in line["event"] for line in lines) == 1, "the third file is read")
                await publish("s", 2)
                await until(lambda: other.numbers("s") == [2], "by the third file")
                write(file, entry.replace("crm", "erp"))
                await until(lambda: any("forgotten" in line["event"] for line in lines), "the endpoint is forgotten")
                assert await outbox.endpoints() == ["erp"]
        assert "must not be logged" not in str(lines)


_A = "[[endpoint]]\nname = 'a'\n"
_URL = "url = 'http://h/'\n"
_KEY = "secret = 'sixteen-characters'\n"


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        ("[[endpoint]", 0o600, "it is not TOML"),
        ("", 0o604, "everybody may read or write it"),
        ("[endpoint]\nname = 'a'", 0o600, "[[endpoint]] tables only"),
        (f"[[endpoint]]\n{_URL}{_KEY}", 0o600, "endpoint number 1: name: Field required"),
        (f"{_A}url = 'ftp://u:SECRET-PART@h/'\n{_KEY}", 0o600, "http:// or https://"),
        (f"{_A}{_URL}", 0o600, "give one of secret, secret_file, secret_env"),
        (f"{_A}{_URL}{_KEY}secret_env = 'X'", 0o600, "give only one of secret"),
        (f"{_A}{_URL}secret = 'SECRET-PART'", 0o600, "at least 16 characters"),
        (f"{_A}{_URL}secret_file = 'none'", 0o600, "secret_file: No such file"),
        (f"{_A}{_URL}secret_env = 'NOT_THERE_AT_ALL'", 0o600, "at least 16 characters"),
        (f"[[endpoint]]\nname = 'laravel'\n{_URL}{_KEY}", 0o600, "more than one endpoint"),
        (f"{_A}{_URL}{_KEY}events = ['x']", 0o600, "events.0"),
        (f"{_A}{_URL}{_KEY}workspaces = ['a b']", 0o600, "workspaces"),
        (f"{_A}{_URL}{_KEY}typo = 1", 0o600, "typo: Extra"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_what_is_wrong(tmp_path: Path, text: str, mode: int, told: str) -> None:
    file = write(tmp_path / "hooks.toml", text, mode)
    with pytest.raises(SettingsError) as raised:
        Configured(read(LARAVEL_WEBHOOK="http://h/", LARAVEL_WEBHOOK_SECRET=SECRET, WEBHOOKS_FILE=str(file)))
    assert told in raised.value.message
    assert "SECRET-PART" not in str(raised.value)


def test_secrets_come_from_files_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRM_SECRET", NEW)
    write(tmp_path / "old.secret", OLD + "\n")
    file = write(
        tmp_path / "hooks.toml",
        "[[endpoint]]\nname='crm'\nurl='https://u:p@crm.example:8443/x?token=t'\n"
        "secret_env='CRM_SECRET'\nprevious_secret_file='old.secret'\n",
    )
    [crm] = load_endpoints(read(WEBHOOKS_FILE=str(file)))
    assert (crm.secrets, crm.host) == ((NEW, OLD), "crm.example:8443")
    assert not any(part in repr(crm) for part in (NEW, OLD, "token=t", "u:p"))
    with pytest.raises(SettingsError, match="WEBHOOK_EVENTS"):
        load_endpoints(read(WEBHOOK_EVENTS="message,typo"))


def test_a_secret_that_is_changed_in_its_file_signs_from_then_on(tmp_path: Path) -> None:
    secret = write(tmp_path / "crm.secret", OLD)
    file = write(
        tmp_path / "hooks.toml",
        "[[endpoint]]\nname='crm'\nurl='https://crm.example/'\nsecret_file='crm.secret'\n",
    )
    configured = Configured(read(WEBHOOKS_FILE=str(file)))
    [before] = configured.current()
    assert (before.secrets, configured.current()[0] is before) == ((OLD,), True)
    secret.write_text(NEW + "\n")
    assert configured.current()[0].secrets == (NEW,)
    secret.write_text("short")
    with capture_logs() as lines:
        assert configured.current()[0].secrets == (NEW,)
    assert [line["log_level"] for line in lines] == ["error"]


def test_a_secret_file_that_comes_after_the_file_that_names_it_is_found(tmp_path: Path) -> None:
    write(tmp_path / "old.secret", OLD)
    entry = "[[endpoint]]\nname='crm'\nurl='https://crm.example/'\nsecret_file='old.secret'\n"
    file = write(tmp_path / "hooks.toml", entry)
    configured = Configured(read(WEBHOOKS_FILE=str(file)))
    write(file, entry.replace("old.secret", "new.secret"))
    with capture_logs() as lines:
        for _ in range(3):
            assert configured.current()[0].secrets == (OLD,)
        write(tmp_path / "new.secret", NEW)
        for _ in range(3):
            assert configured.current()[0].secrets == (NEW,)
    assert [line["log_level"] for line in lines] == ["error", "info"]
