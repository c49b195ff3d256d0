"""The command line finds the commands of other packages, survives broken ones, and fails in one line."""

import json
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


@pytest.mark.parametrize("key", ["", "olá", "a b", "x" * 256, "a\n"])
def test_a_key_that_cannot_be_one_is_a_wrong_call_and_never_replaced_by_a_new_one(key: str) -> None:
    result = CliRunner().invoke(main, ["send", "s", "+5511999990000", "hello", "--key", key])
    assert (result.exit_code, "visible ASCII" in result.output) == (2, True)


def test_ctrl_c_is_130_in_every_command_also_at_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("waits")
    def waits() -> None:
        raise KeyboardInterrupt

    def interrupted(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setitem(main.commands, "waits", waits)
    result = CliRunner().invoke(main, ["waits"])
    assert (result.exit_code, result.output) == (130, "blazz: interrupted\n")
    # The runner of tests puts a prompt of its own in place of click's.
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.readline", lambda *_: interrupted(""))
    assert CliRunner().invoke(main, ["sessions", "delete", "s"]).exit_code == 130
    monkeypatch.undo()
    assert CliRunner().invoke(main, ["sessions", "delete", "s"], input="n\n").exit_code == 1
    assert CliRunner().invoke(main, ["sessions", "delete", "s"], input="").exit_code == 1


def test_with_json_an_error_is_one_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ArchiveKeyMissingError("no key", key_id="k1", hint="look"), as_json=True) == 78
    problem = {"code": "archive_key_missing", "detail": "no key", "hint": "look", "key_id": "k1"}
    assert json.loads(capsys.readouterr().err) == problem
    assert report(KeyError("hunter2"), as_json=True) == 70
    assert json.loads(capsys.readouterr().err) == {"code": "internal_error", "detail": "bug: KeyError"}
