"""Tokens, copies and the end of a login by the command line, on a coordinator app that has a bucket."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from daemon.coordinator.leader import Leadership
from daemon.coordinator.tokens import TokenKeeper
from daemon.core.exit_codes import ExitCode
from daemon.core.sections import ObjectStoreSettings
from daemon.core.settings import Settings
from daemon.objectstore.archives import Archives
from daemon.objectstore.config import object_store_config
from daemon.registry.registry import Registry
from daemon.sessions.commands import CommandKind, Outcome, Reply
from daemon.sessions.states import SessionState
from tests.integration.api.conftest import AnsweringShard, settings_for
from tests.integration.cli.conftest import Bench, Blazz
from tests.servers.s3 import S3Server

ID = "session-u-1"


@pytest.fixture
def settings(redis_url: str, s3: S3Server) -> Settings:
    """Of a coordinator with the bucket of `bench`."""
    store = ObjectStoreSettings.model_validate(s3.environment())
    return replace(settings_for(redis_url), object_store=store)


async def _make(api: httpx.AsyncClient) -> None:
    made = await api.post("/api/whatsapp/sessions", json={"workspace_id": "1", "user_id": "u"})
    assert made.json()["session_id"] == ID


async def test_a_token_is_made_used_and_revoked(
    bench: Bench, registry: Registry, settings: Settings, blazz: Blazz, api: httpx.AsyncClient
) -> None:
    await _make(api)
    with ThreadPoolExecutor(1) as threads:
        leadership = Leadership(registry, "coordinator-of-tests", ttl_ms=600_000)
        await leadership.keep()
        await TokenKeeper(registry, Archives(object_store_config(settings.object_store), threads), leadership).cycle()
    made = await blazz("tokens", "create", "--name", "laravel", "--scope", "read", "--workspace", "1", "--days", "9")
    token = made[1].strip()
    assert (made[0], len(token) > 30, token in made[2]) == (0, True, False), made[2]
    code, out, _ = await blazz("tokens", "list", "--json")
    (listed,) = json.loads(out)
    assert (code, listed["name"], listed["scopes"], listed["workspaces"]) == (0, "laravel", ["read"], ["1"])
    code, out, _ = await blazz("tokens", "list")
    assert (code, "laravel" in out, token in out) == (0, True, False)
    code, out, _ = await blazz("sessions", "show", ID, "--json", BLAZZ_TOKEN=token)
    assert (code, json.loads(out)["session_id"]) == (0, ID)
    code, _, err = await blazz("sessions", "stop", ID, BLAZZ_TOKEN=token)
    assert (code, "forbidden" in err) == (ExitCode.USAGE, True)
    code, out, _ = await blazz("tokens", "revoke", listed["id"])
    assert (code, out) == (0, f"{listed['id']} works no more\n")
    code, _, err = await blazz("sessions", "show", ID, BLAZZ_TOKEN=token)
    assert (code, "unauthorized" in err) == (ExitCode.USAGE, True)
    assert (await blazz("tokens", "list", "--json"))[1].strip() == "[]"


async def test_archives_are_listed_gone_back_to_and_restored_from(
    bench: Bench, blazz: Blazz, api: httpx.AsyncClient, shard: AnsweringShard, registry: Registry
) -> None:
    await _make(api)
    for generation in (1, 2):
        bench.put(ID, (1, generation))
    code, out, _ = await blazz("sessions", "archives", ID)
    assert (code, [line.split()[:2] for line in out.splitlines()[1:]]) == (0, [["2", "1"], ["1", "1"]])
    code, out, _ = await blazz("sessions", "archives", ID, "--json")
    assert [one["generation"] for one in json.loads(out)["archives"]] == [2, 1]
    code, _, err = await blazz("sessions", "rollback", ID, "1", stdin=b"n\n")
    assert (code, "from generation 1" in err) == (1, True)
    assert (await registry.records.get(ID)).rollback is None
    code, out, err = await blazz("sessions", "rollback", ID, "1", "--yes")
    assert (code, out.startswith(f"{ID} goes back to generation 1")) == (0, True), err
    assert (await registry.records.get(ID)).rollback is not None
    code, _, err = await blazz("sessions", "rollback", ID, "7", "--yes")
    assert (code, "archive_not_found" in err) == (ExitCode.USAGE, True)
    code, out, _ = await blazz("sessions", "restore", ID)
    assert (code, out.startswith(f"{ID} is restored")) == (0, True)


async def test_a_logged_in_session_is_backed_up_restarted_and_logged_out(
    blazz: Blazz, api: httpx.AsyncClient, shard: AnsweringShard, registry: Registry
) -> None:
    await _make(api)
    code, _, err = await blazz("sessions", "backup", ID)
    assert (code, "session_not_connected" in err) == (ExitCode.USAGE, True)
    await shard.show(ID, SessionState.QR)
    shard.reply = Reply(outcome=Outcome.DONE, result={"code": "ABCD1234"})
    code, out, _ = await blazz("sessions", "pairing-code", ID, "+5511999990000")
    assert (code, out, shard.got[-1]["phone"]) == (0, "ABCD1234\n", "5511999990000")
    await registry.records.write_wish(ID, {"paired": True})
    await shard.show(ID, SessionState.CONNECTED)
    code, out, _ = await blazz("sessions", "backup", ID)
    assert (code, out, shard.got[-1]["kind"]) == (0, f"{ID} backed up (connected)\n", CommandKind.BACKUP)
    serial = (await registry.records.get(ID)).serial
    code, out, _ = await blazz("sessions", "restart", ID)
    assert (code, out) == (0, f"{ID} is connected\n")
    assert (await registry.records.get(ID)).serial > serial
    code, _, err = await blazz("sessions", "logout", ID, stdin=b"n\n")
    assert (code, "must scan again" in err, shard.got[-1]["kind"]) == (1, True, CommandKind.BACKUP)
    code, out, _ = await blazz("sessions", "logout", ID, "--yes")
    assert (code, out, shard.got[-1]["kind"]) == (0, f"{ID} logged out (connected)\n", CommandKind.LOGOUT)
