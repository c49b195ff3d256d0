"""Decides what has to be started beside the daemon, and with which settings; starts nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from daemon.core.sections import (
    CoordinatorSettings,
    EmbeddedSettings,
    ObjectStoreSettings,
    PathSettings,
    RedisSettings,
    ShardSettings,
)
from daemon.core.settings import load_section
from daemon.embedded.redis import redis_url

S3_ACCESS_KEY = "blazz:local"
_R2_FIELDS = frozenset({"account_id", "access_key_id", "secret_access_key", "endpoint_setting"})


@dataclass(frozen=True, kw_only=True)
class StartPlan:
    """What a start adds to the settings that are there already."""

    redis: bool
    """Whether the embedded Redis is needed."""
    s3_port: int | None
    """First port of the embedded S3 server, or None when it is not needed."""
    environment: Mapping[str, str] = field(repr=False)

    @property
    def programs(self) -> tuple[str, ...]:
        """Names of the files in supervisord.d to include."""
        return (*(["redis.conf"] if self.redis else []), *(["s3.conf"] if self.s3_port is not None else []))


def plan_start(var: Path, *, shards: int | None = None, port: int | None = None) -> StartPlan:
    """Read the settings and fill in the embedded servers where no others are given.

    `var` is DATA_ROOT unless that is set. One given R2 setting means that the S3 server is elsewhere; what is missing
    then is an error of the settings, not a reason to keep archives on this machine.

    Raises:
        SettingsError: a setting of the sections concerned is wrong.
    """
    paths = load_section(PathSettings)
    data_root = paths.data_root.absolute() if "data_root" in paths.model_fields_set else var
    environment = {
        "DATA_ROOT": str(data_root),
        "SHARD_COUNT": str(shards or load_section(ShardSettings).count),
        "COORDINATOR_PORT": str(port or load_section(CoordinatorSettings).port),
    }
    own_redis = "url" not in load_section(RedisSettings).model_fields_set
    if own_redis:
        environment["REDIS_URL"] = redis_url(data_root)
    embedded = load_section(EmbeddedSettings)
    own_s3 = not (load_section(ObjectStoreSettings).model_fields_set & _R2_FIELDS)
    if own_s3:
        environment |= {
            "R2_ENDPOINT": f"http://127.0.0.1:{embedded.s3_port}",
            "R2_ACCESS_KEY_ID": S3_ACCESS_KEY,
            "R2_SECRET_ACCESS_KEY": embedded.s3_secret.get_secret_value(),
        }
    return StartPlan(redis=own_redis, s3_port=embedded.s3_port if own_s3 else None, environment=environment)
