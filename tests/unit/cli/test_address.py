"""Where commands look for the coordinator: what is wrong there is a setting, and nothing else is asked for."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from daemon.cli.address import address_and_token
from daemon.cli.root import main
from daemon.core.exit_codes import ExitCode

NOT_SET = {"BLAZZ_URL": None, "BLAZZ_TOKEN": None, "API_TOKEN": None}


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*NOT_SET, "COORDINATOR_HOST", "COORDINATOR_PORT", "DATA_ROOT"):
        monkeypatch.delenv(name, raising=False)


def blazz(**environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, ["shards", "list"])


@pytest.mark.parametrize(
    "url",
    ["http://a\nb", "http://a:b:c", "a.example:8080", "ftp://a", "http://", "http://[::1", "http://a:99999",
     "http://café.example", "http://user:hunter2@a", "http://a/?x=hunter2"],
)  # fmt: skip
def test_a_wrong_address_is_a_wrong_setting(url: str) -> None:
    result = blazz(BLAZZ_URL=url, BLAZZ_TOKEN="a-token")
    assert (result.exit_code, "BLAZZ_URL is not allowed" in result.output) == (ExitCode.CONFIG, True), result.output
    assert "hunter2" not in result.output


@pytest.mark.parametrize("token", ["olá", "a\nb", "a b"])
def test_a_wrong_token_is_a_wrong_setting_and_not_shown(token: str) -> None:
    result = blazz(BLAZZ_URL="http://127.0.0.1:1", BLAZZ_TOKEN=token)
    assert (result.exit_code, "BLAZZ_TOKEN is not allowed" in result.output) == (ExitCode.CONFIG, True)
    assert token not in result.output


def test_without_a_token_it_says_which_to_set_and_asks_for_nothing_else() -> None:
    result = blazz(BLAZZ_URL="http://127.0.0.1:1")
    assert (result.exit_code, "set BLAZZ_TOKEN" in result.output) == (ExitCode.CONFIG, True)
    assert "R2_" not in result.output
    assert blazz().exit_code == ExitCode.CONFIG


def test_with_address_and_token_no_other_setting_is_read() -> None:
    result = blazz(BLAZZ_URL="http://127.0.0.1:1", BLAZZ_TOKEN="a-token", COORDINATOR_PORT="wrong")
    assert (result.exit_code, "coordinator_unavailable" in result.output) == (ExitCode.UNAVAILABLE, True)


def test_space_around_them_is_passed_over_and_the_settings_fill_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLAZZ_URL", " https://blazz.example.com/base \n")
    monkeypatch.setenv("BLAZZ_TOKEN", "a-token\n")
    assert address_and_token() == ("https://blazz.example.com/base", "a-token")
    monkeypatch.setenv("BLAZZ_URL", " ")
    monkeypatch.setenv("BLAZZ_TOKEN", "")
    monkeypatch.setenv("API_TOKEN", "of-the-settings")
    monkeypatch.setenv("COORDINATOR_HOST", "::")
    monkeypatch.setenv("COORDINATOR_PORT", "8081")
    assert address_and_token() == ("http://[::1]:8081", "of-the-settings")
