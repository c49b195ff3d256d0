"""Settings are checked as a whole, and each problem is one line that names the setting and never a secret."""

from pathlib import Path

import pytest

from daemon.core.errors import SettingsError
from daemon.core.exit_codes import ExitCode
from daemon.core.settings import SECTIONS, Settings, load_settings

GOOD = {
    "R2_ENDPOINT": "http://127.0.0.1:9315",
    "R2_ACCESS_KEY_ID": "blazz:local",
    "R2_SECRET_ACCESS_KEY": "a-long-secret-of-the-store",
    "API_TOKEN": "a-token-of-sixteen-characters",
}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return a function that loads settings from exactly the given environment."""
    monkeypatch.chdir(tmp_path)
    for section in SECTIONS.values():
        for field in section.model_fields.values():
            monkeypatch.delenv(str(field.alias), raising=False)

    def load_with(**env: str) -> Settings:
        for name, value in (GOOD | env).items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return load_with


def problems(load, **env: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(**env)
    assert raised.value.exit_code is ExitCode.CONFIG
    return raised.value.message.splitlines()


def test_defaults_are_those_that_others_rely_on(load) -> None:
    settings = load()
    assert (settings.coordinator.host, settings.coordinator.port) == ("127.0.0.1", 8080)
    assert settings.shard.count == 2
    assert settings.object_store.bucket == "blazz-wa-sessions"
    assert settings.browser.web_url == "https://web.whatsapp.com/"
    assert settings.paths.profile_root == Path("var/profiles")


def test_r2_endpoint_follows_from_the_account(load) -> None:
    settings = load(R2_ENDPOINT="", R2_ACCOUNT_ID="abc123")
    assert settings.object_store.endpoint == "https://abc123.r2.cloudflarestorage.com"


def test_a_wrong_value_is_one_line_with_name_value_and_rule(load) -> None:
    assert problems(load, COORDINATOR_PORT="99999") == [
        "COORDINATOR_PORT='99999' is not allowed: Input should be less than or equal to 65535"
    ]


def test_all_wrong_settings_are_told_at_once(load) -> None:
    found = problems(load, COORDINATOR_PORT="x", R2_ENDPOINT="nonsense", SHARD_COUNT="0")
    assert [line.partition("=")[0] for line in sorted(found)] == ["COORDINATOR_PORT", "R2_ENDPOINT", "SHARD_COUNT"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "http://user:hunter2secret@host"),
        ("API_TOKEN", "hunter2secret"),
        ("LARAVEL_WEBHOOK_SECRET", "hunter2secret"),
    ],
)
def test_a_wrong_secret_is_named_and_masked(load, name: str, value: str) -> None:
    found = problems(
        load, **{"LARAVEL_WEBHOOK": "http://127.0.0.1/hook", "LARAVEL_WEBHOOK_SECRET": "x" * 20} | {name: value}
    )
    assert [line.partition("=")[0] for line in found] == [name]
    assert "hunter2" not in found[0]


def test_missing_credentials_are_named(load) -> None:
    found = problems(load, R2_ENDPOINT="", R2_ACCESS_KEY_ID="", R2_SECRET_ACCESS_KEY="", API_TOKEN="")
    assert len(found) == 4
    assert found[1:3] == ["R2_ACCESS_KEY_ID is not set", "R2_SECRET_ACCESS_KEY is not set"]


def test_a_lease_that_could_run_out_between_two_renewals_is_refused(load) -> None:
    (line,) = problems(load, LEASE_TTL_MS="9000", LEASE_RENEW_INTERVAL_MS="4000", REDIS_TIMEOUT_MS="2000")
    assert line.startswith("LEASE_TTL_MS=9000 is too short")


def test_a_heartbeat_that_could_run_out_between_two_beats_is_refused(load) -> None:
    (line,) = problems(load, SHARD_HEARTBEAT_TTL_MS="2000", SHARD_HEARTBEAT_INTERVAL_MS="1000")
    assert line.startswith("SHARD_HEARTBEAT_TTL_MS=2000 is too short")


def test_secrets_do_not_show_in_the_tree(load) -> None:
    assert "a-token-of" not in repr(load()) and "a-long-secret" not in repr(load())


def test_files_are_read_and_the_environment_wins(load, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "secrets.env").write_text("LARAVEL_WEBHOOK_SECRET=from-set-up-0123456789\nSHARD_COUNT=5\n")
    (tmp_path / ".env").write_text("SHARD_COUNT=3\nSHARD_CAPACITY=7\n")
    settings = load(SHARD_CAPACITY="9")
    assert settings.webhook.secret.get_secret_value() == "from-set-up-0123456789"
    assert (settings.shard.count, settings.shard.capacity) == (3, 9)


def test_flags_are_split_as_in_a_shell(load) -> None:
    assert load(CHROMIUM_EXTRA_ARGS="--a --b='c d'").browser.extra_args == ("--a", "--b=c d")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://:hunter2/secret@h:6379/0"),
        ("REDIS_URL", "redis://h:99999/0"),
        ("R2_ENDPOINT", "http://h:99999"),
        ("R2_ENDPOINT", "http://h:1/path"),
        ("LARAVEL_WEBHOOK", "http://h:99999/hook"),
        ("CHROMIUM_EXTRA_ARGS", "--a='unbalanced"),
        ("R2_ACCOUNT_ID", "a/b"),
        ("SHUTDOWN_TIMEOUT_MS", "600000"),
    ],
)
def test_what_could_only_fail_later_is_told_now(load, name: str, value: str) -> None:
    (line,) = problems(load, **{name: value, "LARAVEL_WEBHOOK_SECRET": "x" * 20})
    assert line.startswith(f"{name}=") and "hunter2" not in line


def test_user_password_and_query_of_an_address_are_masked(load) -> None:
    (line,) = problems(load, LARAVEL_WEBHOOK="ftp://user:hunter2@h/x?token=hunter2", LARAVEL_WEBHOOK_SECRET="x" * 20)
    assert line.startswith("LARAVEL_WEBHOOK='ftp://********@h/x?********' is not allowed")
