"""Making redis-py clients for the three ways in which Redis is run. No other file knows the difference."""

import contextlib
import socket
from typing import Any

from redis.asyncio import Redis, Sentinel
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisClusterException, RedisError

from daemon.core.redis_address import RedisAddress

_RETRIES = {"single": 1, "sentinel": 1, "cluster": 2}
_KEEPALIVE = {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
"""A connection whose other end is gone without a word is noticed after 20 s, also while it waits for an answer."""


def make_client(
    address: RedisAddress, *, timeout_s: float, decode: bool
) -> Any:  # redis-py types every answer as `bytes | str`, whatever decode_responses says
    """Return a client whose calls `RedisLink.asking` limits to `timeout_s`, with a part of it for each host.

    redis-py asks one host after another, and one that is dead must not use up the time. Its own limit for an answer is
    off: it would always come after ours, and costs a task for each call. So are its health checks: with a Redis that
    hangs they connect, ask, and connect again within each other, without end.
    """
    common: dict[str, Any] = {
        "socket_connect_timeout": timeout_s / (1 + len(address.hosts)),
        "socket_timeout": None,
        "decode_responses": decode,
        "health_check_interval": 0,
        # Once, as a connection that stood idle may be gone; on a cluster once more, as it finds the next master so.
        "retry": Retry(ExponentialBackoff(cap=0.2, base=0.02), retries=_RETRIES[address.kind]),
    }
    match address.kind:
        case "single" if address.url.startswith("unix"):
            return Redis.from_url(address.url, **common)
        case "single":
            return Redis.from_url(address.url, **common | _keepalive())
        case "sentinel":
            return _master(address, common | _keepalive())
        case "cluster":
            return _cluster(address, common | _keepalive())


def _keepalive() -> dict[str, Any]:
    return {"socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}


def _master(address: RedisAddress, common: dict[str, Any]) -> Any:
    asking = {
        "socket_connect_timeout": common["socket_connect_timeout"],
        "socket_timeout": common["socket_connect_timeout"],
        "username": address.sentinel_username,
        "password": address.sentinel_password,
        "ssl": address.tls,
    }
    sentinel: Any = Sentinel(list(address.hosts), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]  # redis-py's
    return sentinel.master_for(
        address.master, username=address.username, password=address.password, db=address.db, ssl=address.tls, **common
    )


def _cluster(address: RedisAddress, common: dict[str, Any]) -> Any:
    nodes = [ClusterNode(host, port) for host, port in address.hosts]
    return RedisCluster(
        startup_nodes=nodes,
        username=address.username,
        password=address.password,
        ssl=address.tls,
        **common,
    )


async def close_client(client: Any) -> None:
    """Close all connections of a client, to the sentinels as well; one that hangs is given up without a word."""
    closing = [client.aclose()] if isinstance(client, RedisCluster) else _closing(client)
    for step in closing:
        with contextlib.suppress(RedisError, RedisClusterException, OSError):
            await step


async def close_nodes(cluster: RedisCluster) -> None:
    """Close the connections of a cluster's client that was never initialized itself, but whose nodes were asked."""
    for nodes in ("nodes_cache", "startup_nodes"):
        with contextlib.suppress(RedisError, RedisClusterException, OSError):
            await cluster.nodes_manager.aclose(nodes)


def _closing(client: Any) -> list[Any]:
    sentinel = getattr(client.connection_pool, "sentinel_manager", None)
    asked = sentinel.sentinels if sentinel is not None else ()
    return [one.aclose(close_connection_pool=True) for one in (client, *asked)]
