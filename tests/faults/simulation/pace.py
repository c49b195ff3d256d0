"""How fast a simulated world runs: times of the product that are too long to wait for in hundreds of schedules.

Settings are made below their allowed least values, and constants of the product are replaced. Ratios are kept where
safety depends on them: renewals and Redis time-outs fit into a lease's life, as the settings' own check demands.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from pydantic import SecretStr

from daemon.core.settings import SECTIONS, Settings

LEASE_TTL_S = 2.0

TIMES: Mapping[str, int] = {
    "LEASE_TTL_MS": int(LEASE_TTL_S * 1000),
    "LEASE_RENEW_INTERVAL_MS": 400,
    "LEASE_MARGIN_MS": 500,
    "REDIS_TIMEOUT_MS": 400,
    "SHARD_HEARTBEAT_INTERVAL_MS": 200,
    "SHARD_HEARTBEAT_TTL_MS": 1000,
    "SHARD_GRACE_MS": 500,
    "RECONCILE_INTERVAL_MS": 200,
    "RECONCILE_FULL_MS": 1000,
    "SHUTDOWN_TIMEOUT_MS": 3000,
    "COMMAND_TIMEOUT_MS": 1000,
    "SESSION_HOT_COPY_INTERVAL_MS": 1000,
    "BROWSER_START_TIMEOUT_MS": 5000,
    "SHARD_CAPACITY": 20,
    "MIN_FREE_BYTES": 0,
}

CONSTANTS: Mapping[str, float] = {
    "daemon.core.loops._MAX_BACKOFF_S": 0.5,
    "daemon.coordinator.leader.LEADER_TTL_MS": 1500,
    "daemon.coordinator.process._MARKS_LOOK_S": 0.5,
    "daemon.coordinator.process._RECOVERY_LOOK_S": 0.5,
    "shards.intake._LOOK_INTERVAL_S": 0.25,
    "shards.intake._UNAVAILABLE_PAUSE_S": 0.3,
    "shards.intake._HELD_PAUSE_S": 0.3,
    "shards.leases._WATCH_INTERVAL_S": 0.1,
    "shards.unsaved._INTERVAL_S": 2.0,
    "shards.leftovers._INTERVAL_S": 2.0,
    "shards.runner.finish._WAIT_FOR_STORE_S": 0.4,
    "shards.runner.runner._AFTER_FENCE_S": 0.2,
    "shards.runner.runner._DRAIN_EVENTS_S": 0.5,
    "shards.runner.life._SETTLE_BEFORE_STOP_S": 2.0,
    "shards.runner.beginning._UNSAVED_PAUSE_S": 0.5,
    "shards.runner.watch._LOOK_INTERVAL_S": 0.5,
    "shards.runner.watch._RESTING_LOOK_INTERVAL_S": 2.5,
    "shards.runner.watch._QR_MUST_STAY_S": 1.0,
    "shards.backup.keeper._LOOK_INTERVAL_S": 0.5,
    "shards.backup.keeper._RESTING_LOOK_INTERVAL_S": 2.5,
}


class UnknownConstantError(Exception):
    """The product has no such constant any more: mend the table."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one simulated process finds its world."""

    data_root: Path
    redis_url: str
    store: Mapping[str, str]
    """Settings of the object store, by their names in the environment."""
    archives_soon: bool
    """Archive what is connected at once; else archives are written when a session ends in order."""


def quicken() -> None:
    """Replace the product's constants in this process.

    Raises:
        UnknownConstantError: one of them does not exist.
    """
    for name, value in CONSTANTS.items():
        module_name, _, constant = name.rpartition(".")
        module = importlib.import_module(module_name)
        if not isinstance(getattr(module, constant, None), (int, float)):
            raise UnknownConstantError(name)
        setattr(module, constant, value)


def quick_settings(place: Place) -> Settings:
    """Return the settings of a simulated process; they are not checked, as they are shorter than allowed."""
    given: dict[str, Any] = {
        **TIMES,
        **place.store,
        "DATA_ROOT": place.data_root,
        "REDIS_URL": place.redis_url,
        "SESSION_SETTLE_MS": 0 if place.archives_soon else 600_000,
        "API_TOKEN": "a token of the simulation",
        "COORDINATOR_PORT": 0,
        "LOG_LEVEL": "DEBUG",
    }
    return Settings(**{name: _made(section, given) for name, section in SECTIONS.items()})


def _made(section: Any, given: Mapping[str, Any]) -> Any:
    values: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        if field.alias in given:
            values[name] = _typed(field.annotation, given[field.alias])
        else:
            values[name] = field.get_default(call_default_factory=True)
    made = section.model_construct()
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def _typed(annotation: Any, value: Any) -> Any:
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return SecretStr(value) if SecretStr in kinds else value
