"""Times that cannot go together are refused when settings load, each in one line that names the setting to change."""

import pytest

from daemon.core.sections import BackupSettings, CoordinatorSettings, RedisSettings, ShardSettings
from daemon.core.timing import timing_problems

NAMES = {
    str(field.alias): section
    for section in (RedisSettings, CoordinatorSettings, ShardSettings, BackupSettings)
    for field in section.model_fields.values()
}


def found(**given: object) -> list[str]:
    sections = [
        section(_env_file=None, **{name: value for name, value in given.items() if NAMES[name] is section})
        for section in (RedisSettings, CoordinatorSettings, ShardSettings, BackupSettings)
    ]
    return timing_problems(*sections)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_the_defaults_go_together() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"LEASE_TTL_MS": 10999},
            "LEASE_TTL_MS=10999 is too short: it must be at least"
            " LEASE_RENEW_INTERVAL_MS + 2 * REDIS_TIMEOUT_MS + LEASE_MARGIN_MS = 11000",
        ),
        (
            {"LEASE_MARGIN_MS": 499},
            "LEASE_MARGIN_MS=499 is too short: it must be at least 500,"
            " so that Chromium is dead before another shard may run the session",
        ),
        (
            {"SHARD_HEARTBEAT_INTERVAL_MS": 1700},
            "SHARD_HEARTBEAT_TTL_MS=5000 is too short: it must be at least 3 * SHARD_HEARTBEAT_INTERVAL_MS = 5100",
        ),
        (
            {"REDIS_TIMEOUT_MS": 2501, "SHARD_HEARTBEAT_TTL_MS": 3500},
            "SHARD_HEARTBEAT_TTL_MS=3500 is too short: it must be at least"
            " SHARD_HEARTBEAT_INTERVAL_MS + REDIS_TIMEOUT_MS = 3501",
        ),
        (
            {"RECONCILE_INTERVAL_MS": 3501},
            "RECONCILE_INTERVAL_MS=3501 is too long: 2 * RECONCILE_INTERVAL_MS + REDIS_TIMEOUT_MS = 9002"
            " must be at most 9000, the life of a coordinator's lead",
        ),
        (
            {"COMMAND_TIMEOUT_MS": 1999},
            "COMMAND_TIMEOUT_MS=1999 is too short: it must be at least REDIS_TIMEOUT_MS = 2000",
        ),
        (
            {"SESSION_BACKUP_INTERVAL_MS": 29999},
            "SESSION_HOT_COPY_INTERVAL_MS=30000 is too long: it must be at most SESSION_BACKUP_INTERVAL_MS = 29999",
        ),
    ],
)
def test_times_that_cannot_go_together_are_told_in_one_line(given: dict[str, int], line: str) -> None:
    assert found(**given) == [line]


@pytest.mark.parametrize(
    "given",
    [
        {"LEASE_TTL_MS": 11000},
        {"LEASE_MARGIN_MS": 500},
        {"REDIS_TIMEOUT_MS": 2500, "SHARD_HEARTBEAT_TTL_MS": 3500},
        {"RECONCILE_INTERVAL_MS": 3500},
        {"COMMAND_TIMEOUT_MS": 2000},
        {"SESSION_BACKUP_INTERVAL_MS": 30000},
        {"SESSION_BACKUP_INTERVAL_MS": 29999, "SESSION_BACKUP_ENABLED": False},
    ],
)
def test_times_that_just_go_together_are_taken(given: dict[str, int]) -> None:
    assert found(**given) == []


def test_the_longest_shutdown_ends_before_supervisord_loses_patience() -> None:
    # stopwaitsecs=75, less what a shard needs after its sessions: five seconds for commands, and its leave.
    (longest,) = [m.le for m in ShardSettings.model_fields["shutdown_timeout_ms"].metadata if hasattr(m, "le")]
    assert longest + 10_000 <= 75_000
