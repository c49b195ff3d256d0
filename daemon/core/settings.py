"""Settings: one frozen tree, read once from the environment, `.env` and DATA_ROOT/secrets.env, and checked as a whole.

This is the only place that reads the environment. Every process calls `load_settings()` first and passes sections on.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import ValidationError

from daemon.core.errors import SettingsError
from daemon.core.sections import (
    ArchiveSettings,
    BackupSettings,
    BrowserSettings,
    CoordinatorSettings,
    EmbeddedSettings,
    LogSettings,
    ObjectStoreSettings,
    PathSettings,
    PlatformSettings,
    RedisSettings,
    SendSettings,
    ShardSettings,
    WebhookSettings,
)
from daemon.core.setting_types import Section, is_loopback
from daemon.core.timing import timing_problems

_MASK = "********"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of one process."""

    paths: PathSettings
    log: LogSettings
    redis: RedisSettings
    object_store: ObjectStoreSettings
    coordinator: CoordinatorSettings
    shard: ShardSettings
    browser: BrowserSettings
    backup: BackupSettings
    archive: ArchiveSettings
    webhook: WebhookSettings
    send: SendSettings
    platform: PlatformSettings
    embedded: EmbeddedSettings


SECTIONS: Mapping[str, type[Section]] = {
    "paths": PathSettings,
    "log": LogSettings,
    "redis": RedisSettings,
    "object_store": ObjectStoreSettings,
    "coordinator": CoordinatorSettings,
    "shard": ShardSettings,
    "browser": BrowserSettings,
    "backup": BackupSettings,
    "archive": ArchiveSettings,
    "webhook": WebhookSettings,
    "send": SendSettings,
    "platform": PlatformSettings,
    "embedded": EmbeddedSettings,
}

S = TypeVar("S", bound=Section)


def load_settings() -> Settings:
    """Read and check all settings.

    Raises:
        SettingsError: its `problems` in the message, one line a wrong setting; exit with `ExitCode.CONFIG`.
    """
    problems: list[str] = []
    loaded: dict[str, Any] = {}
    files = _env_files()
    for name, section in SECTIONS.items():
        try:
            loaded[name] = section(_env_file=files)  # type: ignore[call-arg]  # pydantic-settings' own keyword
        except ValidationError as error:
            problems += [_line(section, dict(item)) for item in error.errors()]
    if not problems:
        settings = Settings(**loaded)
        problems = [*_required(settings), *_invariants(settings)]
    if problems:
        raise SettingsError("\n".join(problems), hint="see .env.example for every setting and what it may be")
    return settings


def load_section(section: type[S]) -> S:
    """Read one section alone, for what runs before, or without, the rest; `model_fields_set` says what was given.

    Raises:
        SettingsError: as `load_settings`.
    """
    try:
        return section(_env_file=_env_files())  # type: ignore[call-arg]  # pydantic-settings' own keyword
    except ValidationError as error:
        lines = [_line(section, dict(item)) for item in error.errors()]
        raise SettingsError("\n".join(lines), hint="see .env.example for every setting and what it may be") from None


def given_instead_of_secrets_file(name: str) -> str | None:
    """Return what sets `name` and so outweighs DATA_ROOT/secrets.env: `the environment`, `.env`, or None."""
    if os.environ.get(name):
        return "the environment"
    return ".env" if dotenv_values(".env").get(name) else None


def named_secret(name: str) -> str | None:
    """Return what the environment, `.env` or DATA_ROOT/secrets.env gives a name that is no setting; None for nothing.

    For files that name where a secret is instead of holding it.
    """
    given = os.environ.get(name)
    for path in reversed(_env_files()):
        given = given or dotenv_values(path).get(name)
    return given or None


def child_environment() -> dict[str, str]:
    """Return the environment for programs that need none of our settings, which hold secrets."""
    passed = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "FONTCONFIG_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
    return {name: os.environ[name] for name in passed if name in os.environ}


def own_environment() -> dict[str, str]:
    """Return the environment for a program of ours that needs no settings."""
    return child_environment() | {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}


def client_choice() -> tuple[str | None, str | None]:
    """Return the coordinator (BLAZZ_URL) and the token (BLAZZ_TOKEN) that a command has instead of the settings'."""
    return os.environ.get("BLAZZ_URL"), os.environ.get("BLAZZ_TOKEN")


def under_supervisord() -> bool:
    """Whether supervisord started this process."""
    return "SUPERVISOR_ENABLED" in os.environ


def supervisor_url() -> str | None:
    """Return the address at which the supervisord that started this process answers, or None if at none."""
    return os.environ.get("SUPERVISOR_SERVER_URL")


def _env_files() -> tuple[Path, ...]:
    # Later files win; the environment wins over both. Set-up writes the first, people write the second.
    data_root = os.environ.get("DATA_ROOT") or dotenv_values(".env").get("DATA_ROOT") or "var"
    return (Path(data_root) / "secrets.env", Path(".env"))


def _line(section: type[Section], error: Mapping[str, Any]) -> str:
    """Say one wrong setting in one line: its name, its value (masked if secret), and what is allowed."""
    name = str(error["loc"][0]) if error["loc"] else "?"
    field = next((f for f in section.model_fields.values() if f.alias == name), None)
    secret = field is not None and "Secret" in str(field.annotation)
    value = _MASK if secret else _masked(str(error.get("input")))
    return f"{name}={value!r} is not allowed: {error['msg'].removeprefix('Value error, ')}"


def _masked(value: str) -> str:
    """Return a value without what may be secret in an address: user, password and query."""
    value = re.sub(r"(?<=://)[^/@]*@", f"{_MASK}@", value)
    return re.sub(r"(?<=\?).+", _MASK, value) if "://" in value else value


def _required(settings: Settings) -> list[str]:
    problems = []
    store = settings.object_store
    if not store.endpoint_setting and not store.account_id:
        problems.append("R2_ENDPOINT is not set: give it, or R2_ACCOUNT_ID for Cloudflare R2")
    if urlsplit(store.endpoint).path.strip("/") not in {"", store.bucket}:
        problems.append(f"R2_ENDPOINT={_masked(store.endpoint)!r} is not allowed: scheme, host and port only")
    if not store.access_key_id:
        problems.append("R2_ACCESS_KEY_ID is not set")
    if not store.secret_access_key.get_secret_value():
        problems.append("R2_SECRET_ACCESS_KEY is not set")
    if len(settings.coordinator.api_token.get_secret_value()) < 16:
        problems.append(f"API_TOKEN={_MASK!r} is not allowed: at least 16 characters; bin/setup makes one")
    elif not is_loopback(settings.coordinator.host) and len(settings.coordinator.api_token.get_secret_value()) < 32:
        problems.append(
            f"API_TOKEN={_MASK!r} is not allowed: at least 32 characters when COORDINATOR_HOST is no loopback address"
        )
    if settings.webhook.url and len(settings.webhook.secret.get_secret_value()) < 16:
        problems.append(
            f"LARAVEL_WEBHOOK_SECRET={_MASK!r} is not allowed: at least 16 characters when LARAVEL_WEBHOOK is set"
        )
    if 0 < len(settings.webhook.secret_previous.get_secret_value()) < 16:
        problems.append(f"LARAVEL_WEBHOOK_SECRET_PREVIOUS={_MASK!r} is not allowed: at least 16 characters, or none")
    if settings.webhook.event_log_max > settings.webhook.events_max:
        problems.append(
            f"EVENT_LOG_MAX={settings.webhook.event_log_max} is too many: at most EVENTS_MAX"
            f" = {settings.webhook.events_max}"
        )
    return problems


def _invariants(settings: Settings) -> list[str]:
    """Check what must hold between settings, or a healthy system would lose its leases."""
    problems = timing_problems(settings.redis, settings.coordinator, settings.shard, settings.backup)
    if settings.browser.chromium_path.name and not settings.browser.chromium_path.is_absolute():
        problems.append(f"CHROMIUM_PATH={str(settings.browser.chromium_path)!r} is not allowed: give an absolute path")
    return problems
