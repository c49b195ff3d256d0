"""`blazz keys new`: the key comes first, nothing else in the file changes, and it is shown only where asked for."""

import os
import stat
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from daemon.cli.root import main
from daemon.core.archive_keys import archive_keys_text, parse_archive_keys
from daemon.core.errors import InvalidInputError
from shards.cli.key_file import new_key_id, with_new_key

OLD = {"old": bytes(range(32))}
OLD_TEXT = archive_keys_text(OLD)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("ARCHIVE_KEYS", "DATA_ROOT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "var").mkdir()
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["keys", "new", *arguments])


def test_the_default_id_is_the_date_and_unique() -> None:
    day = date(2026, 11, 23)
    assert new_key_id({}, day) == "2026-11-23"
    assert new_key_id({"2026-11-23", "2026-11-23-2", "x"}, day) == "2026-11-23-3"


@pytest.mark.parametrize("key_id", ["a:b", "a,b", "", "x" * 33, "old"])
def test_an_id_that_is_not_valid_or_taken_is_refused(key_id: str) -> None:
    with pytest.raises(InvalidInputError):
        with_new_key(dict(OLD), key_id)


def test_it_prints_the_whole_new_value_to_standard_output_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHIVE_KEYS", OLD_TEXT)
    result = run("--id", "fresh")
    keys = parse_archive_keys(result.stdout.strip())
    assert list(keys) == ["fresh", "old"] and keys["old"] == OLD["old"]
    assert result.stdout.strip().partition(",")[0] not in result.stderr


def test_write_puts_it_first_and_keeps_everything_else(home: Path) -> None:
    path = home / "var" / "secrets.env"
    path.write_text(f"# a comment\nAPI_TOKEN=keep-me\nARCHIVE_KEYS={OLD_TEXT}\n")
    for key_id in ("one", "two"):
        result = run("--write", "--id", key_id)
        assert result.exit_code == 0, result.output
        assert result.stdout == ""
    *others, line = path.read_text().splitlines()
    assert others == ["# a comment", "API_TOKEN=keep-me"]
    keys = parse_archive_keys(line.removeprefix("ARCHIVE_KEYS="))
    assert list(keys) == ["two", "one", "old"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["secrets.env"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for another user")
def test_the_file_keeps_its_owner(home: Path) -> None:
    path = home / "var" / "secrets.env"
    path.write_text("A=1\n")
    os.chown(path, 12345, 12345)
    assert run("--write").exit_code == 0
    assert path.stat().st_uid == 12345


def test_write_is_refused_where_it_would_have_no_effect(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".env").write_text(f"ARCHIVE_KEYS={OLD_TEXT}\n")
    refused = run("--write")
    assert refused.exit_code == 70 and ".env" in refused.stderr and "(conflict)" in refused.stderr
    monkeypatch.setenv("ARCHIVE_KEYS", OLD_TEXT)
    assert "the environment" in run("--write").stderr
    assert not (home / "var" / "secrets.env").exists()


def test_keys_that_cannot_be_read_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHIVE_KEYS", "a:hunter2secret")
    result = run()
    assert result.exit_code == 78
    assert "hunter2" not in result.output and "Traceback" not in result.output
