"""The command line finds the commands of other packages, survives broken ones, and fails in one line."""

import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints

import click
import pytest
from click.testing import CliRunner

from daemon.cli import offered
from daemon.cli.failing import report
from daemon.cli.root import main
from daemon.core.errors import ArchiveKeyMissingError, RedisUnavailableError, SettingsError


def offer(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    points = EntryPoints(EntryPoint(name, value, offered.GROUP) for name, value in values.items())

    def found(*, group: str, **wanted: str) -> EntryPoints:
        return points.select(group=group, **wanted)

    monkeypatch.setattr(offered, "entry_points", found)


def test_archive_and_keys_are_installed() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert {"archive", "keys", "check", "settings"} <= set(result.output.split())


@pytest.mark.parametrize("value", ["no_such_module:x", "json:no_such_name", "json:loads"])
def test_a_broken_offer_explains_itself_and_breaks_nothing_else(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    offer(monkeypatch, broken=value)
    runner = CliRunner()
    shown = runner.invoke(main, ["--help"])
    assert shown.exit_code == 0 and "(cannot be loaded)" in shown.output and "settings" in shown.output
    assert runner.invoke(main, ["settings"]).exit_code == 0
    failed = runner.invoke(main, ["broken", "some", "--option=1", "--help"])
    assert failed.exit_code == 70
    assert failed.output.count("\n") == 1 and "(command_not_loaded)" in failed.output


def test_an_own_command_is_not_replaced_by_an_offered_one(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, settings="no_such_module:x")
    assert CliRunner().invoke(main, ["settings"]).exit_code == 0


def leaves(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, *path, name)
        else:
            yield " ".join((*path, name)), command


def test_every_command_of_this_room_can_answer_in_json() -> None:
    found = dict(leaves(main))
    assert {"sessions delete", "tokens revoke", "events", "check"} <= set(found)
    assert not [name for name, made in found.items() if "--json" not in {opt for p in made.params for opt in p.opts}]


def test_settings_and_their_check_are_told_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    told = json.loads(CliRunner().invoke(main, ["settings", "--json"]).output)
    assert {"name", "default", "meaning"} == set(told[0])
    monkeypatch.setenv("REDIS_TIMEOUT_MS", "soon")
    refused = CliRunner().invoke(main, ["check", "--json"])
    assert refused.exit_code == 78
    said = json.loads(refused.output)
    assert said["valid"] is False and any("REDIS_TIMEOUT_MS" in line for line in said["errors"])


def test_an_unknown_command_is_a_wrong_call() -> None:
    assert CliRunner().invoke(main, ["no-such-command"]).exit_code == 2


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (RedisUnavailableError("no answer", hint="look"), "blazz: no answer (redis_unavailable); look", 69),
        (ArchiveKeyMissingError("no key", key_id="k1"), "blazz: no key [key_id=k1] (archive_key_missing)", 78),
        (SettingsError("a\nb"), "blazz: a\nblazz: b (settings_invalid)", 78),
        (ExceptionGroup("", [RedisUnavailableError("x")]), "blazz: x (redis_unavailable)", 69),
        (KeyError("hunter2"), "blazz: bug: KeyError (internal_error)", 70),
        (ExceptionGroup("", [RedisUnavailableError("x"), KeyError("hunter2")]),
         "blazz: bug: KeyError (internal_error)", 70),
    ],
)  # fmt: skip
def test_an_error_is_one_line_with_code_and_hint(
    error: Exception, line: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(error) == code
    assert capsys.readouterr().err == line + "\n"


def test_a_bug_shows_neither_traceback_nor_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("bad")
    def bad() -> None:
        raise KeyError("hunter2")

    monkeypatch.setitem(main.commands, "bad", bad)
    result = CliRunner().invoke(main, ["bad"])
    assert result.exit_code == 70
    assert "hunter2" not in result.output and "Traceback" not in result.output and "KeyError" in result.output
