"""What must hold between intervals, time limits and TTLs, or a healthy system would lose leases and heartbeats. Pure.

Free on purpose: SHARD_GRACE_MS, because a session that is placed elsewhere too early is still kept apart by its lease;
SHUTDOWN_TIMEOUT_MS, whose largest value is below supervisord's stopwaitsecs.
"""

from collections.abc import Iterator

from daemon.core.sections import BackupSettings, CoordinatorSettings, RedisSettings, ShardSettings

LEADER_TTL_MS = 10_000
"""Life of a coordinator's claim to lead without renewal; it is renewed in each reconcile cycle."""
LEADER_MARGIN = 0.1
"""The part of it that a coordinator does not count on, so that it has stopped leading before another one begins."""
LEAST_MARGIN_MS = 500
"""Twice the interval at which a shard looks at its deadlines: by then, or by the guard, Chromium is dead."""


def timing_problems(
    redis: RedisSettings, coordinator: CoordinatorSettings, shard: ShardSettings, backup: BackupSettings
) -> list[str]:
    """Return one line for each rule that is broken."""
    return [
        *_lease_problems(redis, shard),
        *_heartbeat_problems(redis, shard),
        *_coordinator_problems(redis, coordinator),
        *_backup_problems(backup),
    ]


def _lease_problems(redis: RedisSettings, shard: ShardSettings) -> Iterator[str]:
    # A renewal may hang until its limit, and the one after it must still come before the holder's deadline.
    least_ms = shard.lease_renew_interval_ms + 2 * redis.timeout_ms + shard.lease_margin_ms
    if shard.lease_ttl_ms < least_ms:
        yield (
            f"LEASE_TTL_MS={shard.lease_ttl_ms} is too short: it must be at least LEASE_RENEW_INTERVAL_MS"
            f" + 2 * REDIS_TIMEOUT_MS + LEASE_MARGIN_MS = {least_ms}"
        )
    if shard.lease_margin_ms < LEAST_MARGIN_MS:
        yield (
            f"LEASE_MARGIN_MS={shard.lease_margin_ms} is too short: it must be at least {LEAST_MARGIN_MS},"
            f" so that Chromium is dead before another shard may run the session"
        )


def _heartbeat_problems(redis: RedisSettings, shard: ShardSettings) -> Iterator[str]:
    if shard.heartbeat_ttl_ms < 3 * shard.heartbeat_interval_ms:
        yield (
            f"SHARD_HEARTBEAT_TTL_MS={shard.heartbeat_ttl_ms} is too short: it must be at least"
            f" 3 * SHARD_HEARTBEAT_INTERVAL_MS = {3 * shard.heartbeat_interval_ms}"
        )
    # One call that hangs must not make a shard look gone.
    elif shard.heartbeat_ttl_ms < shard.heartbeat_interval_ms + redis.timeout_ms:
        yield (
            f"SHARD_HEARTBEAT_TTL_MS={shard.heartbeat_ttl_ms} is too short: it must be at least"
            f" SHARD_HEARTBEAT_INTERVAL_MS + REDIS_TIMEOUT_MS = {shard.heartbeat_interval_ms + redis.timeout_ms}"
        )


def _coordinator_problems(redis: RedisSettings, coordinator: CoordinatorSettings) -> Iterator[str]:
    needed_ms = 2 * coordinator.reconcile_interval_ms + redis.timeout_ms
    leads_ms = round(LEADER_TTL_MS * (1 - LEADER_MARGIN))
    if needed_ms > leads_ms:
        yield (
            f"RECONCILE_INTERVAL_MS={coordinator.reconcile_interval_ms} is too long: 2 * RECONCILE_INTERVAL_MS"
            f" + REDIS_TIMEOUT_MS = {needed_ms} must be at most {leads_ms}, the life of a coordinator's lead"
        )
    # A command waits in Redis for no longer than that: one hanging call must not make every command too old.
    if coordinator.command_timeout_ms < redis.timeout_ms:
        yield (
            f"COMMAND_TIMEOUT_MS={coordinator.command_timeout_ms} is too short: it must be at least"
            f" REDIS_TIMEOUT_MS = {redis.timeout_ms}"
        )


def _backup_problems(backup: BackupSettings) -> Iterator[str]:
    # The hot copy costs nothing and is restored first: rarer than archives it would only ever be the older one.
    if backup.enabled and backup.hot_copy_interval_ms > backup.interval_ms:
        yield (
            f"SESSION_HOT_COPY_INTERVAL_MS={backup.hot_copy_interval_ms} is too long: it must be at most"
            f" SESSION_BACKUP_INTERVAL_MS = {backup.interval_ms}"
        )
