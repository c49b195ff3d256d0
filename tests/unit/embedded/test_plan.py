"""Embedded servers are started exactly when no others are given."""

from pathlib import Path

import pytest

from daemon.core.errors import SettingsError
from daemon.core.settings import SECTIONS
from daemon.embedded.plan import StartPlan, plan_start


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return a function that plans with exactly the given environment."""
    monkeypatch.chdir(tmp_path)
    for section in SECTIONS.values():
        for field in section.model_fields.values():
            monkeypatch.delenv(str(field.alias), raising=False)

    def plan_with(*, shards: int | None = None, port: int | None = None, **env: str) -> StartPlan:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        return plan_start(tmp_path / "var", shards=shards, port=port)

    return plan_with


def test_without_settings_both_servers_come_along(plan, tmp_path: Path) -> None:
    made = plan(EMBEDDED_S3_SECRET="0123456789abcdef")
    assert made.programs == ("redis.conf", "s3.conf")
    assert made.environment == {
        "DATA_ROOT": str(tmp_path / "var"),
        "SHARD_COUNT": "2",
        "COORDINATOR_PORT": "8080",
        "REDIS_URL": f"unix://{tmp_path}/var/run/redis.sock",
        "R2_ENDPOINT": "http://127.0.0.1:9315",
        "R2_ACCESS_KEY_ID": "blazz:local",
        "R2_SECRET_ACCESS_KEY": "0123456789abcdef",
    }


def test_a_given_redis_is_used(plan) -> None:
    made = plan(REDIS_URL="redis://10.0.0.1:6379/0")
    assert made.programs == ("s3.conf",)
    assert "REDIS_URL" not in made.environment


@pytest.mark.parametrize("name", ["R2_ACCOUNT_ID", "R2_ENDPOINT", "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY"])
def test_one_r2_setting_means_that_the_store_is_elsewhere(plan, name: str) -> None:
    made = plan(**{name: "abc123" if name == "R2_ACCOUNT_ID" else "https://r2.example"})
    assert made.s3_port is None
    assert not any(key.startswith("R2_") for key in made.environment)


def test_an_empty_setting_is_not_given(plan) -> None:
    assert plan(REDIS_URL="", R2_ENDPOINT="").programs == ("redis.conf", "s3.conf")


def test_a_bucket_name_alone_keeps_the_embedded_store(plan) -> None:
    assert plan(R2_BUCKET_NAME="another-bucket").s3_port == 9315


def test_settings_come_from_the_env_file_too(plan, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"REDIS_URL=redis://10.0.0.1/0\nDATA_ROOT={tmp_path}/elsewhere\nSHARD_COUNT=5\n")
    made = plan()
    assert made.programs == ("s3.conf",)
    assert made.environment["DATA_ROOT"] == f"{tmp_path}/elsewhere"
    assert made.environment["SHARD_COUNT"] == "5"


def test_arguments_win_over_settings(plan) -> None:
    made = plan(shards=7, port=9000, SHARD_COUNT="3", COORDINATOR_PORT="8081")
    assert (made.environment["SHARD_COUNT"], made.environment["COORDINATOR_PORT"]) == ("7", "9000")


def test_a_wrong_setting_is_named(plan) -> None:
    with pytest.raises(SettingsError, match="SHARD_COUNT='many'"):
        plan(SHARD_COUNT="many")


def test_the_plan_shows_no_secret(plan) -> None:
    assert "0123456789abcdef" not in repr(plan(EMBEDDED_S3_SECRET="0123456789abcdef"))
