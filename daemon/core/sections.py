"""The sections of the settings: every name in the environment, its type, default and meaning.

A field's alias is its name in the environment; its description is what `blazz settings`, README and .env.example show.
Times are milliseconds here because the names were in use before this project; `_s` properties give seconds.
Their types are in `setting_types`; they are read and checked together in `settings`.
"""

import os
import shlex
import socket
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from daemon.core.archive_keys import parse_archive_keys
from daemon.core.redis_address import RedisAddress, parse_redis_address
from daemon.core.setting_types import (
    ArchiveKeyList,
    DatabaseUrl,
    HttpUrl,
    Milliseconds,
    Port,
    RedisUrl,
    Section,
    ShellWords,
)


class PathSettings(Section):
    """Where things are kept on this host."""

    data_root: Path = Field(Path("var"), alias="DATA_ROOT", description="Everything a running installation writes.")
    profile_root_setting: Path | None = Field(
        None, alias="PROFILE_ROOT", description="Live Chromium profiles; default DATA_ROOT/profiles."
    )
    min_free_bytes: int = Field(
        256_000_000,
        ge=0,
        alias="MIN_FREE_BYTES",
        description="With less free space under PROFILE_ROOT, nothing is started or copied.",
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

    url: RedisUrl = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        alias="REDIS_URL",
        description="redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// address.",
    )
    timeout_ms: Milliseconds = Field(2000, ge=100, le=60000, alias="REDIS_TIMEOUT_MS", description="Limit of one call.")

    @property
    def address(self) -> RedisAddress:
        """Where Redis is."""
        return parse_redis_address(self.url.get_secret_value())

    @property
    def timeout_s(self) -> float:
        """Limit of one call in seconds."""
        return self.timeout_ms / 1000


class ObjectStoreSettings(Section):
    """Cloudflare R2, or any S3 server."""

    account_id: str | None = Field(
        None, pattern="^[A-Za-z0-9]+$", alias="R2_ACCOUNT_ID", description="Cloudflare account; gives R2_ENDPOINT."
    )
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
    rate_limit: int = Field(
        6000, ge=0, alias="RATE_LIMIT_PER_MINUTE", description="Requests of one API token a minute; 0: no limit."
    )
    auth_failures: int = Field(
        60,
        ge=0,
        alias="AUTH_FAILURES_PER_MINUTE",
        description="Requests of one address without a valid token a minute; 0: no limit.",
    )
    event_followers_max: int = Field(
        100, ge=0, le=10000, alias="EVENT_FOLLOWERS_MAX", description="Requests that may follow the events at a time."
    )
    command_timeout_ms: Milliseconds = Field(
        30000, ge=1000, le=300000, alias="COMMAND_TIMEOUT_MS", description="How long a request waits for a shard."
    )
    reconcile_interval_ms: Milliseconds = Field(
        1000, ge=100, le=60000, alias="RECONCILE_INTERVAL_MS", description="How often placements are looked at."
    )
    reconcile_full_ms: Milliseconds = Field(
        5000,
        ge=100,
        le=600000,
        alias="RECONCILE_FULL_MS",
        description="How often all sessions are looked at although nothing seems to have changed.",
    )
    drain_parallel: int = Field(
        8, ge=1, le=1000, alias="DRAIN_PARALLEL", description="Most sessions handed from shard to shard at a time."
    )
    rebalance: Literal["on", "off"] = Field(
        "off",
        alias="REBALANCE",
        description="Hand over running sessions, DRAIN_PARALLEL at a time, until the shards are evenly full.",
    )
    recover: Literal["on", "off"] = Field(
        "on",
        alias="RECOVER_SESSIONS",
        description="Begin the sessions that the bucket knows and Redis does not, after Redis lost data or is new.",
    )


class ShardSettings(Section):
    """The shard processes."""

    count: int = Field(2, ge=1, le=256, alias="SHARD_COUNT", description="Shard processes on this host.")
    capacity: int = Field(200, ge=1, le=10000, alias="SHARD_CAPACITY", description="Most sessions on one shard.")
    parallel_starts_setting: int | None = Field(
        None, ge=1, le=64, alias="SHARD_PARALLEL_STARTS", description="Sessions a shard starts at once; twice the CPUs."
    )
    host_parallel_starts_setting: int | None = Field(
        None,
        ge=1,
        le=256,
        alias="HOST_PARALLEL_STARTS",
        description="Sessions that all shards of this host start at once; four times the CPUs.",
    )
    host_name_setting: str = Field(
        "", alias="HOST_NAME", description="Name of this host among the others; default the system's host name."
    )
    name_prefix: str = Field(
        "",
        pattern=r"^([a-z0-9][a-z0-9_-]{0,40})?$",
        alias="SHARD_NAME_PREFIX",
        description="Put before the name of each shard of this host, as eu1-; needed when there are several hosts.",
    )
    session_memory_bytes: int = Field(
        120_000_000,
        ge=100_000,
        alias="SESSION_MEMORY_BYTES",
        description="Memory that one more session is taken to need.",
    )
    min_free_memory_bytes: int = Field(
        512_000_000,
        ge=0,
        alias="MIN_FREE_MEMORY_BYTES",
        description="Memory kept free: no session starts that would need it. At most an eighth of the host's.",
    )
    sessions_per_cpu: int = Field(
        100, ge=1, le=100_000, alias="SESSIONS_PER_CPU", description="Most sessions for each CPU of this host."
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
        60000, ge=1000, le=60000, alias="SHUTDOWN_TIMEOUT_MS", description="Time for final backups on a stop."
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

    @property
    def host_parallel_starts(self) -> int:
        """Sessions that all shards of this host start at once."""
        return self.host_parallel_starts_setting or max(2, 4 * (os.cpu_count() or 1))

    @property
    def host_name(self) -> str:
        """What this host is called."""
        return self.host_name_setting or socket.gethostname()


class BrowserSettings(Section):
    """Chromium and the page in it."""

    chromium_path: Path = Field(
        Path("/usr/lib/chromium/chromium-headless-shell"),
        alias="CHROMIUM_PATH",
        description="Chromium binary: chromium-headless-shell, or /usr/lib/chromium/chromium.",
    )
    extra_args_line: ShellWords = Field(
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
    page_template: Literal["off", "on"] = Field(
        "off", alias="PAGE_TEMPLATE", description="Restored sessions get the page's caches of `blazz template make`."
    )
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


class ArchiveSettings(Section):
    """Archives: their encryption, how many are kept, and what they may unpack to."""

    keys_text: ArchiveKeyList = Field(
        SecretStr(""),
        alias="ARCHIVE_KEYS",
        description="Encrypt archives and hot copies: id:base64 of 32 bytes, newest first; see `blazz keys`.",
    )
    accept_plain: bool = Field(
        True, alias="ARCHIVE_ACCEPT_PLAIN", description="Restore unencrypted copies although keys are set."
    )
    keep_newest: int = Field(2, ge=1, le=100, alias="ARCHIVE_KEEP_NEWEST", description="Newest archives kept.")
    keep_days: int = Field(
        3, ge=0, le=366, alias="ARCHIVE_KEEP_DAYS", description="Past days of which the last archive is kept."
    )
    retention_interval_ms: Milliseconds = Field(
        6 * 3600 * 1000, ge=1000, alias="RETENTION_INTERVAL_MS", description="How often old archives are removed."
    )
    max_unpacked_bytes: int = Field(
        2 * 1024**3, ge=1_000_000, alias="ARCHIVE_MAX_UNPACKED_BYTES", description="Larger profiles are not restored."
    )
    legacy_prefix: str = Field(
        "", alias="LEGACY_ARCHIVE_PREFIX", description="Where RemoteAuth-*.zip of a Node service lie in the bucket."
    )

    @property
    def keys(self) -> dict[str, bytes]:
        """Key ids and keys; the first one seals, all of them open. Empty: archives are not encrypted."""
        return parse_archive_keys(self.keys_text.get_secret_value())


class WebhookSettings(Section):
    """Where Laravel is told what happens."""

    url: HttpUrl | None = Field(None, alias="LARAVEL_WEBHOOK", description="Address that receives the events.")
    secret: SecretStr = Field(
        SecretStr(""), alias="LARAVEL_WEBHOOK_SECRET", description="Key of the HMAC signature; at least 16 characters."
    )
    secret_previous: SecretStr = Field(
        SecretStr(""),
        alias="LARAVEL_WEBHOOK_SECRET_PREVIOUS",
        description="The key before it: while it is set, both sign.",
    )
    events: str = Field(
        "all", alias="WEBHOOK_EVENTS", description="The events that LARAVEL_WEBHOOK receives, by comma; or all."
    )
    file: Path | None = Field(
        None, alias="WEBHOOKS_FILE", description="TOML file of more endpoints; read again when it changes."
    )
    timeout_ms: Milliseconds = Field(10000, ge=100, alias="WEBHOOK_TIMEOUT_MS", description="Limit of one delivery.")
    retry_for_ms: Milliseconds = Field(
        86400 * 1000,
        alias="WEBHOOK_RETRY_FOR_MS",
        description="This long after it was told, an event goes to the dead letters.",
    )
    event_log_max: int = Field(
        10_000, ge=1, le=1_000_000, alias="EVENT_LOG_MAX", description="Newest events that Redis keeps when delivered."
    )
    events_max: int = Field(
        200_000,
        ge=1,
        le=10_000_000,
        alias="EVENTS_MAX",
        description="Most events in Redis, and most put aside for one endpoint; beyond it the oldest are lost, loudly.",
    )
    dead_letters_max: int = Field(
        100_000, ge=1, le=10_000_000, alias="DEAD_LETTERS_MAX", description="Most dead letters; then the oldest go."
    )

    @property
    def timeout_s(self) -> float:
        """Limit of one delivery in seconds."""
        return self.timeout_ms / 1000


class SendSettings(Section):
    """Sending messages."""

    min_interval_ms: Milliseconds = Field(
        1000,
        ge=0,
        le=60000,
        alias="SEND_MIN_INTERVAL_MS",
        description="Least time between two messages of one session; up to half of it more is added at random.",
    )
    queue_max: int = Field(
        20, ge=1, le=1000, alias="SEND_QUEUE_MAX", description="Messages of one session that may wait for their turn."
    )
    max_media_bytes: int = Field(
        16_777_216,
        ge=1024,
        le=67_108_864,
        alias="MAX_MEDIA_BYTES",
        description="Largest file that is sent or fetched.",
    )
    media_parallel: int = Field(
        4, ge=1, le=64, alias="MEDIA_PARALLEL", description="Files that a coordinator moves at a time."
    )
    idempotency_ms: Milliseconds = Field(
        86400 * 1000, ge=60000, alias="IDEMPOTENCY_KEEP_MS", description="How long an Idempotency-Key is remembered."
    )


class PlatformSettings(Section):
    """Laravel's own database, asked which sessions should run when Redis cannot say."""

    url: DatabaseUrl = Field(
        SecretStr(""),
        alias="SESSIONS_DATABASE_URL",
        description="mysql://, mariadb://, pgsql://, postgres:// or sqlite:/// address; only read.",
    )
    table: str = Field(
        "whatsapp_instances",
        min_length=1,
        alias="SESSIONS_DATABASE_TABLE",
        description="Table of the sessions, or schema.table.",
    )
    user_column: str = Field(
        "user_id", min_length=1, alias="SESSIONS_DATABASE_USER_COLUMN", description="Column of the user's id."
    )
    workspace_column: str = Field(
        "workspace_id",
        min_length=1,
        alias="SESSIONS_DATABASE_WORKSPACE_COLUMN",
        description="Column of the workspace's id.",
    )
    instance_column: str = Field(
        "instance_id",
        min_length=1,
        alias="SESSIONS_DATABASE_INSTANCE_COLUMN",
        description="Column of the session id; where it is empty, session-{user}-{workspace}.",
    )
    status_column: str = Field(
        "status", min_length=1, alias="SESSIONS_DATABASE_STATUS_COLUMN", description="Column of the status."
    )
    status_value: str = Field(
        "connected", alias="SESSIONS_DATABASE_STATUS_VALUE", description="Status of sessions that should run."
    )
    timeout_ms: Milliseconds = Field(
        10000,
        ge=1000,
        le=300000,
        alias="SESSIONS_DATABASE_TIMEOUT_MS",
        description="Limit of connecting, and of each wait for an answer.",
    )

    @property
    def configured(self) -> bool:
        """Whether there is a database to ask."""
        return bool(self.url.get_secret_value())

    @property
    def timeout_s(self) -> float:
        """Limit of connecting and of each wait, in seconds."""
        return self.timeout_ms / 1000


class EmbeddedSettings(Section):
    """The servers that bin/up starts when it is given no others."""

    s3_port: int = Field(
        9315, ge=1, le=65532, alias="EMBEDDED_S3_PORT", description="First of the embedded S3 server's four ports."
    )
    s3_secret: SecretStr = Field(
        SecretStr(""), alias="EMBEDDED_S3_SECRET", description="Secret key of the embedded S3 server; set-up makes one."
    )
