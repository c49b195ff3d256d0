"""Every command prints JSON and nothing else on standard output when it is asked for it."""

import json
from collections.abc import Iterator

import click
import pytest

from daemon.cli.root import main
from daemon.core.archive_keys import archive_keys_text
from shards.cli import template
from shards.profile.template import TemplateKey, seal
from tests.integration.cli.answering import Answer, answering, session, told
from tests.integration.cli.conftest import Bench

ID = "session-u-1"
ENDPOINT = {
    "name": "e", "host": "h", "events": None, "workspaces": None, "state": "ok", "error": None, "paused_at": None,
    "waiting": 0, "parked_sessions": 0, "oldest_waiting_at": None, "dead": 0, "dropped": 0, "forgotten": 0,
}  # fmt: skip
OF_THE_API = {
    "sessions create": ("--workspace", "1", "--user", "u"),
    "sessions list": (),
    "sessions show": (ID,),
    "sessions qr": (ID,),
    "sessions pairing-code": (ID, "+5511999990000"),
    "sessions start": (ID,),
    "sessions stop": (ID,),
    "sessions restart": (ID,),
    "sessions backup": (ID,),
    "sessions archives": (ID,),
    "sessions rollback": (ID, "1", "--yes"),
    "sessions restore": (ID,),
    "sessions logout": (ID, "--yes"),
    "sessions delete": (ID, "--yes"),
    "send": (ID, "+5511999990000", "hello"),
    "events": (),
    "tokens create": ("--name", "n", "--scope", "read"),
    "tokens list": (),
    "tokens revoke": ("abc",),
    "webhooks list": (),
    "webhooks dead": (),
    "webhooks redrive": ("1-1",),
    "webhooks resume": ("e",),
    "webhooks test": ("e",),
    "shards list": (),
    "shards show": ("shard_00",),
    "shards drain": ("shard_00", "--no-wait"),
    "shards undrain": ("shard_00",),
    "restore": (ID, "--no-wait"),
}
OF_THE_HOST = {
    "check": (),
    "settings": (),
    "archive inspect": ("archive",),
    "archive verify": ("archive",),
    "archive adopt": ("--prefix", "sessions/"),
    "keys new": (),
    "keys status": (),
    "keys rotate": (),
    "template make": (),
    "template status": (),
    "template remove": (),
}


def _leaves(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _leaves(command, *path, name)
        else:
            yield " ".join((*path, name)), command


def test_no_command_is_left_out_here() -> None:
    assert {name for name, _ in _leaves(main)} == {*OF_THE_API, *OF_THE_HOST}


def _answer(method: str, path: str) -> Answer:
    """Answer whatever the commands ask for, in the shapes of the API."""
    if method == "DELETE":
        return Answer(status=204)
    shown = session(ID, "connected", text="2@a", code="ABCD1234", message_id="m", replayed=False, endpoints=[ENDPOINT])
    shown |= ENDPOINT | {
        "name": "shard_00",
        "taken": True,
        "status": "connected",
        "next_cursor": None,
        "hot_copy": None,
    }
    shown |= {name: [] for name in ("sessions", "archives", "tokens", "dead", "shards")}
    shown |= {"redriven": 1, "skipped": 0, "job_id": "j", "drain": None}
    if path.startswith("/api/whatsapp/events"):
        frame = {"id": "evt", "event": "ready", "session_id": ID, "timestamp": "t", "data": {}}
        return Answer(body=f"id: 1-0\nevent: ready\ndata: {json.dumps(frame)}\n\n".encode(), kind="text/event-stream")
    return told(shown)


@pytest.mark.parametrize("command", OF_THE_API)
def test_a_command_of_the_api_prints_json_only(command: str) -> None:
    with answering() as server:
        server.answer = _answer
        result = server.blazz(*command.split(), *OF_THE_API[command], "--json")
    assert result.exit_code == 0, result.output
    json.loads(result.stdout)


@pytest.fixture
def host(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An installation with an archive, and a Chromium that fills caches at once."""
    key = TemplateKey(chromium="156.0.8078.79", binary="chromium-headless-shell", origin="https://web.whatsapp.com")

    async def key_of(_: object) -> TemplateKey:
        return key

    async def make(_parts: object, _as_json: bool) -> object:
        return seal(source, bench.home / "var" / "profiles", key, None)

    source = bench.home / "source"
    (source / "Default/Code Cache").mkdir(parents=True)
    (source / "Default/Code Cache/code").write_bytes(bytes(1234))
    monkeypatch.setattr(template, "_key", key_of)
    monkeypatch.setattr(template, "_make", make)
    bench.pack("s", (3, 4), {})
    return bench


@pytest.mark.parametrize("command", OF_THE_HOST)
def test_a_command_of_the_host_prints_json_only(host: Bench, command: str) -> None:
    keys = archive_keys_text({"k1": bytes(32)})
    result = host.blazz(*command.split(), *OF_THE_HOST[command], "--json", ARCHIVE_KEYS=keys)
    assert result.exit_code == 0, result.output
    json.loads(result.stdout)


def test_what_the_hosts_commands_say_in_json(host: Bench) -> None:
    (host.home / "bad").write_bytes(b"nothing of the kind")
    result = host.blazz("archive", "verify", "archive", "bad", "--json")
    said = json.loads(result.stdout)
    assert (result.exit_code, said["good"], [one["what"] for one in said["not_good"]]) == (1, 1, ["bad"])
    assert "bad archive_damaged bad" in result.stderr
    made = json.loads(host.blazz("keys", "new", "--id", "k9", "--json").stdout)
    assert (made["key_id"], made["archive_keys"].startswith("k9")) == ("k9", True)
    written = json.loads(host.blazz("keys", "new", "--id", "k9", "--write", "--json").stdout)
    assert written["written_to"].endswith("secrets.env")
    template_made = json.loads(host.blazz("template", "make", "--json").stdout)
    assert (template_made["files"], template_made["size_bytes"], template_made["answers"]) == (1, 1234, 0)
    (shown,) = json.loads(host.blazz("template", "status", "--json").stdout)["templates"]
    assert (shown["fits"], shown["made_at"]) == (True, template_made["made_at"])
    assert json.loads(host.blazz("template", "remove", "--json").stdout) == {"removed": 1}
    refused = host.blazz("archive", "inspect", "bad", "--json")
    assert (refused.stdout, json.loads(refused.stderr)["code"]) == ("", "archive_damaged")
