"""Settings: one frozen tree, read once from the environment, `.env` and DATA_ROOT/secrets.env, and checked as a whole.

This is the only place that reads the environment. Every process calls `load_settings()` first and passes sections on.
A field's alias is its name in the environment; its description is what `blazz settings` and docs/settings.md show.
Times are milliseconds here because the names were in use before this project; `_s` properties give seconds.
"""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from daemon.core.errors import SettingsError

_MASK = "********"


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a full http:// or https:// address")
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    if urlsplit(value.get_secret_value()).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("must start with redis://, rediss:// or unix://")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Milliseconds = Annotated[int, Field(ge=0)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseSettings):
    """Base of all sections: frozen, empty values count as not set, names as they are in the environment."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, case_sensitive=True)


class PathSettings(Section):
    """Where things are kept on this host."""

    data_root: Path = Field(Path("var"), alias="DATA_ROOT", description="Everything a running installation writes.")
    profile_root_setting: Path | None = Field(
        None, alias="PROFILE_ROOT", description="Live Chromium profiles; default DATA_ROOT/profiles."
    )

    @property
    def profile_root(self) -> Path:
        """Directory of the live profiles."""
        return self.profile_root_setting or self.data_root / "profiles"

    @property
    def run_dir(self) -> Path:
        """Directory of sockets, locks and process files."""
        return self.data_root / "run"


class LogSettings(Section):
    """How the processes log."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", alias="LOG_LEVEL", description="Least level.")
    style: Literal["text", "json"] = Field("text", alias="LOG_FORMAT", description="One line of text, or of JSON.")


class RedisSettings(Section):
    """The one Redis that coordinator and shards meet in."""

    url: Annotated[SecretStr, AfterValidator(_redis_url)] = Field(
        SecretStr("redis://127.0.0.1:6379/0"), alias="REDIS_URL", description="redis://, rediss:// or unix:// address."
    )
    timeout_ms: Milliseconds = Field(2000, ge=100, le=60000, alias="REDIS_TIMEOUT_MS", description="Limit of one call.")

    @property
    def timeout_s(self) -> float:
        """Limit of one call in seconds."""
        return self.timeout_ms / 1000


class ObjectStoreSettings(Section):
    """Cloudflare R2, or any S3 server."""

    account_id: str | None = Field(None, alias="R2_ACCOUNT_ID", description="Cloudflare account; gives R2_ENDPOINT.")
    access_key_id: str = Field("", alias="R2_ACCESS_KEY_ID", description="Access key.")
    secret_access_key: SecretStr = Field(SecretStr(""), alias="R2_SECRET_ACCESS_KEY", description="Secret key.")
    bucket: str = Field(
        "blazz-wa-sessions",
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        alias="R2_BUCKET_NAME",
        description="Bucket of the archives.",
    )
    endpoint_setting: HttpUrl | None = Field(None, alias="R2_ENDPOINT", description="Address of the S3 server.")
    path_prefix: str = Field("", alias="R2_PATH_PREFIX", description="Path before the bucket, for test servers only.")
    debug: bool = Field(False, alias="R2_DEBUG", description="Log each call to the object store.")

    @property
    def endpoint(self) -> str:
        """Address of the S3 server; R2's own for the account unless set."""
        return self.endpoint_setting or f"https://{self.account_id}.r2.cloudflarestorage.com"


class CoordinatorSettings(Section):
    """The HTTP side."""

    host: str = Field("127.0.0.1", alias="COORDINATOR_HOST", description="Address to listen on.")
    port: Port = Field(8080, alias="COORDINATOR_PORT", description="Port to listen on.")
    api_token: SecretStr = Field(
        SecretStr(""), alias="API_TOKEN", description="Bearer token, at least 16 characters; set-up makes one."
    )
    max_body_bytes: int = Field(1_048_576, ge=1024, alias="MAX_BODY_BYTES", description="Largest request body.")
    command_timeout_ms: Milliseconds = Field(
        30000, ge=1000, le=300000, alias="COMMAND_TIMEOUT_MS", description="How long a request waits for a shard."
    )
    reconcile_interval_ms: Milliseconds = Field(
        1000, ge=100, le=60000, alias="RECONCILE_INTERVAL_MS", description="How often placements are looked at."
    )


class ShardSettings(Section):
    """The shard processes."""

    count: int = Field(2, ge=1, le=256, alias="SHARD_COUNT", description="Shard processes on this host.")
    capacity: int = Field(200, ge=1, le=10000, alias="SHARD_CAPACITY", description="Most sessions on one shard.")
    parallel_starts_setting: int | None = Field(
        None, ge=1, le=64, alias="SHARD_PARALLEL_STARTS", description="Sessions a shard starts at once; twice the CPUs."
    )
    heartbeat_interval_ms: Milliseconds = Field(
        1000, ge=100, le=30000, alias="SHARD_HEARTBEAT_INTERVAL_MS", description="How often a shard shows it lives."
    )
    heartbeat_ttl_ms: Milliseconds = Field(
        5000, ge=500, le=120000, alias="SHARD_HEARTBEAT_TTL_MS", description="Silence after which it counts as gone."
    )
    grace_ms: Milliseconds = Field(
        10000, le=600000, alias="SHARD_GRACE_MS", description="How long a gone shard keeps its sessions placed on it."
    )
    shutdown_timeout_ms: Milliseconds = Field(
        60000, ge=1000, le=600000, alias="SHUTDOWN_TIMEOUT_MS", description="Time for final backups on a stop."
    )
    lease_ttl_ms: Milliseconds = Field(
        15000, ge=2000, le=300000, alias="LEASE_TTL_MS", description="Life of a session's lease without renewal."
    )
    lease_renew_interval_ms: Milliseconds = Field(
        4000, ge=200, le=100000, alias="LEASE_RENEW_INTERVAL_MS", description="How often leases are renewed."
    )
    lease_margin_ms: Milliseconds = Field(
        3000,
        ge=100,
        le=60000,
        alias="LEASE_MARGIN_MS",
        description="A holder ends its session this long before the TTL.",
    )

    @property
    def parallel_starts(self) -> int:
        """Sessions that a shard starts at once."""
        return self.parallel_starts_setting or max(2, 2 * (os.cpu_count() or 1))


class BrowserSettings(Section):
    """Chromium and the page in it."""

    chromium_path: Path = Field(
        Path("/usr/lib/chromium/chromium-headless-shell"),
        alias="CHROMIUM_PATH",
        description="Chromium binary: chromium-headless-shell, or /usr/lib/chromium/chromium.",
    )
    extra_args_line: str = Field(
        "", alias="CHROMIUM_EXTRA_ARGS", description="More Chromium flags, quoted as in a shell."
    )
    sandbox: Literal["auto", "on", "off"] = Field(
        "auto", alias="CHROMIUM_SANDBOX", description="Chromium's sandbox; auto is on unless running as root."
    )
    user_agent: str | None = Field(None, alias="CHROMIUM_USER_AGENT", description="User agent; default Chromium's own.")
    web_url: HttpUrl = Field(
        "https://web.whatsapp.com/", alias="WHATSAPP_WEB_URL", description="The page that sessions open."
    )
    bundle_path: Path | None = Field(None, alias="WAJS_BUNDLE", description="Another wa-js bundle than the pinned one.")
    start_timeout_ms: Milliseconds = Field(
        60000, ge=1000, alias="BROWSER_START_TIMEOUT_MS", description="Limit from launch to a loaded page."
    )
    page_timeout_ms: Milliseconds = Field(
        30000, ge=1000, alias="PAGE_CALL_TIMEOUT_MS", description="Limit of one call into the page."
    )
    sync_timeout_ms: Milliseconds = Field(
        600000, ge=1000, alias="PAGE_SYNC_TIMEOUT_MS", description="Limit from logged in to connected."
    )

    @property
    def extra_args(self) -> tuple[str, ...]:
        """More Chromium flags."""
        return tuple(shlex.split(self.extra_args_line))

    @property
    def sandbox_on(self) -> bool:
        """Whether Chromium's sandbox is used."""
        return self.sandbox == "on" or (self.sandbox == "auto" and os.geteuid() != 0)


class BackupSettings(Section):
    """When a session's state is copied off the machine."""

    enabled: bool = Field(True, alias="SESSION_BACKUP_ENABLED", description="Write archives to R2.")
    interval_ms: Milliseconds = Field(
        600000, ge=1000, alias="SESSION_BACKUP_INTERVAL_MS", description="Between two archives of a changing session."
    )
    store: Literal["r2"] = Field("r2", alias="SESSION_BACKUP_STORE", description="Where archives go.")
    hot_copy_interval_ms: Milliseconds = Field(
        30000, ge=1000, alias="SESSION_HOT_COPY_INTERVAL_MS", description="Between two hot copies of a session."
    )
    hot_copy_max_bytes: int = Field(
        2_000_000, ge=10_000, alias="SESSION_HOT_COPY_MAX_BYTES", description="Larger ones go to R2 only."
    )
    settle_ms: Milliseconds = Field(
        2000, alias="SESSION_SETTLE_MS", description="Quiet time after connected before the first archive."
    )
    tombstone_grace_ms: Milliseconds = Field(
        7 * 86400 * 1000, alias="TOMBSTONE_GRACE_MS", description="How long archives outlive a delete or logout."
    )


class WebhookSettings(Section):
    """Where Laravel is told what happens."""

    url: HttpUrl | None = Field(None, alias="LARAVEL_WEBHOOK", description="Address that receives the events.")
    secret: SecretStr = Field(
        SecretStr(""), alias="LARAVEL_WEBHOOK_SECRET", description="Key of the HMAC signature; at least 16 characters."
    )
    timeout_ms: Milliseconds = Field(10000, ge=100, alias="WEBHOOK_TIMEOUT_MS", description="Limit of one delivery.")
    retry_for_ms: Milliseconds = Field(
        86400 * 1000, alias="WEBHOOK_RETRY_FOR_MS", description="After this long an event goes to the dead letters."
    )


class EmbeddedSettings(Section):
    """The servers that bin/up starts when it is given no others."""

    s3_port: int = Field(
        9315, ge=1, le=65532, alias="EMBEDDED_S3_PORT", description="First of the embedded S3 server's four ports."
    )
    s3_secret: SecretStr = Field(
        SecretStr(""), alias="EMBEDDED_S3_SECRET", description="Secret key of the embedded S3 server; set-up makes one."
    )


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
    webhook: WebhookSettings
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
    "webhook": WebhookSettings,
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


def under_supervisord() -> bool:
    """Whether supervisord started this process."""
    return "SUPERVISOR_ENABLED" in os.environ


def _env_files() -> tuple[Path, ...]:
    # Later files win; the environment wins over both. Set-up writes the first, people write the second.
    data_root = os.environ.get("DATA_ROOT") or dotenv_values(".env").get("DATA_ROOT") or "var"
    return (Path(data_root) / "secrets.env", Path(".env"))


def _line(section: type[Section], error: Mapping[str, Any]) -> str:
    """Say one wrong setting in one line: its name, its value (masked if secret), and what is allowed."""
    name = str(error["loc"][0]) if error["loc"] else "?"
    field = next((f for f in section.model_fields.values() if f.alias == name), None)
    secret = field is not None and "Secret" in str(field.annotation)
    value = _MASK if secret else str(error.get("input"))
    return f"{name}={value!r} is not allowed: {error['msg'].removeprefix('Value error, ')}"


def _required(settings: Settings) -> list[str]:
    problems = []
    store = settings.object_store
    if not store.endpoint_setting and not store.account_id:
        problems.append("R2_ENDPOINT is not set: give it, or R2_ACCOUNT_ID for Cloudflare R2")
    if not store.access_key_id:
        problems.append("R2_ACCESS_KEY_ID is not set")
    if not store.secret_access_key.get_secret_value():
        problems.append("R2_SECRET_ACCESS_KEY is not set")
    if len(settings.coordinator.api_token.get_secret_value()) < 16:
        problems.append(f"API_TOKEN={_MASK!r} is not allowed: at least 16 characters; bin/setup makes one")
    if settings.webhook.url and len(settings.webhook.secret.get_secret_value()) < 16:
        problems.append(
            f"LARAVEL_WEBHOOK_SECRET={_MASK!r} is not allowed: at least 16 characters when LARAVEL_WEBHOOK is set"
        )
    return problems


def _invariants(settings: Settings) -> list[str]:
    """Check what must hold between settings, or a healthy system would lose its leases."""
    shard, redis = settings.shard, settings.redis
    problems = []
    if shard.lease_renew_interval_ms + 2 * redis.timeout_ms + shard.lease_margin_ms > shard.lease_ttl_ms:
        problems.append(
            f"LEASE_TTL_MS={shard.lease_ttl_ms} is too short: it must be at least LEASE_RENEW_INTERVAL_MS"
            f" + 2 * REDIS_TIMEOUT_MS + LEASE_MARGIN_MS ="
            f" {shard.lease_renew_interval_ms + 2 * redis.timeout_ms + shard.lease_margin_ms}"
        )
    if shard.heartbeat_ttl_ms < 3 * shard.heartbeat_interval_ms:
        problems.append(
            f"SHARD_HEARTBEAT_TTL_MS={shard.heartbeat_ttl_ms} is too short: it must be at least"
            f" 3 * SHARD_HEARTBEAT_INTERVAL_MS = {3 * shard.heartbeat_interval_ms}"
        )
    if settings.browser.chromium_path.name and not settings.browser.chromium_path.is_absolute():
        problems.append(f"CHROMIUM_PATH={str(settings.browser.chromium_path)!r} is not allowed: give an absolute path")
    return problems
