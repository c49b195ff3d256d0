"""The form that all benches have, on one that measures nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from matplotlib.image import imread

from bench import form
from tests.bench import dummy


def run(*arguments: str) -> Result:
    return CliRunner().invoke(dummy.main, arguments)


@pytest.fixture
def told(tmp_path: Path) -> Any:
    """Return what a run wrote as JSON."""

    def tell(*arguments: str, code: int = 0) -> dict[str, Any]:
        result = run("--json", str(tmp_path / "new" / "found.json"), *arguments)
        assert result.exit_code == code, result.output
        return json.loads((tmp_path / "new" / "found.json").read_text())

    return tell


def test_it_is_shown_as_tables() -> None:
    result = run()
    assert result.exit_code == 0
    for text in ("How long is a piece of string?", "- 2 pieces", "cores", "pieces", ">= 2", "yes"):
        assert text in result.output


def test_the_json_says_what_was_run_when_where_and_what_was_found(told) -> None:
    found = told("--pieces", "3", "--quick")
    assert found["title"] == "How long is a piece of string?"
    assert len(found["date"].split("-")) == 3
    assert found["quick"] is True
    assert found["quick_run"] is True
    assert found["seed"] == 3
    assert found["options"]["pieces"] == 3
    assert {"cpu", "cores", "memory_gib", "python", "chromium", "redis_server", "blazz"} <= found["machine"].keys()
    assert len(found["lengths_cm"]) == 3
    assert found["tables"][0]["columns"] == ["piece", "cm"]


def test_every_run_has_the_same_chance(told) -> None:
    assert told()["lengths_cm"] == told()["lengths_cm"]


def test_the_command_is_what_was_typed(told) -> None:
    command = told("--pieces", "3", "--name", "a b", "--name", "c", "--quick")["command"]
    for words in ("--pieces 3", "--name 'a b' --name c", "--quick"):
        assert words in command
    assert "--coiled" not in command
    assert told("--coiled")["command"].endswith("--coiled")
    assert "--fail" not in command
    assert "--json" not in command


def test_a_secret_is_not_written(told) -> None:
    assert "hunter2" not in json.dumps(told("--password", "hunter2"))


def test_the_plot_is_a_picture_that_opens(tmp_path: Path) -> None:
    assert run("--plot", str(tmp_path / "found.png")).exit_code == 0
    assert imread(tmp_path / "found.png").shape[0] > 100


def test_a_run_that_does_not_count_is_shown_and_written_and_fails(told) -> None:
    assert told("--fail", code=1)["failure"] == "the string is torn"
    assert "Error: the string is torn" in run("--fail").output


def test_its_directory_is_gone_afterwards(told) -> None:
    assert not Path(told()["work"]).exists()


def test_one_that_takes_too_long_is_ended() -> None:
    result = run("--hang")
    assert result.exit_code == 1
    assert "not done within 2 s" in result.output


def test_facts_of_the_machine_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(work: Path) -> dict[str, object]:
        return {"cpu": "a loom"}

    monkeypatch.setattr(form, "machine", none)
    assert "cpu a loom" in run().output
