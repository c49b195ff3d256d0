"""Reading REDIS_URL: one server, Sentinel or Cluster. Pure; messages never hold the address: it may hold a password.

redis://[user:password@]host:6379[/db]   rediss:// with TLS   unix://[user:password@]/path
redis+sentinel://[user:password@]host1:26379,host2:26379/name-of-the-master[/db][?sentinel_password=...]
redis+cluster://[user:password@]host1:7000,host2:7001
"""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

_PLAIN = {"redis", "rediss", "unix"}
_MANY = {"redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"}
_PORTS = {"sentinel": 26379, "cluster": 6379}
_HOW = "in a password, / ? # @ are written as %2F %3F %23 %40"

Kind = Literal["single", "sentinel", "cluster"]


@dataclass(frozen=True, kw_only=True)
class RedisAddress:
    """Where Redis is. `url` is for a single one; the rest for Sentinel and Cluster."""

    kind: Kind
    url: str = field(default="", repr=False)
    hosts: tuple[tuple[str, int], ...] = ()
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    master: str = ""
    """Sentinel's name of the master."""
    db: int = 0
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)


def parse_redis_address(text: str) -> RedisAddress:
    """Return what an address says.

    Raises:
        ValueError: not one of the forms above; the message says what is expected.
    """
    scheme = urlsplit(text).scheme
    if scheme in _PLAIN:
        if scheme != "unix" and not _port_fits(text):
            raise ValueError(f"must have a port from 1 to 65535; {_HOW}")
        return RedisAddress(kind="single", url=text)
    if scheme not in _MANY:
        raise ValueError("must start with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://")
    return _many(text, scheme)


def _many(text: str, scheme: str) -> RedisAddress:
    parts = urlsplit(text)
    kind: Kind = "sentinel" if scheme.endswith("sentinel") else "cluster"
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    query = dict(parse_qsl(parts.query))
    master, db = _path(parts.path, kind)
    return RedisAddress(
        kind=kind,
        hosts=tuple(_host(part, _PORTS[kind]) for part in hosts.split(",")),
        username=unquote(username) or None,
        password=unquote(password) or None,
        tls=scheme.startswith("rediss"),
        master=master,
        db=db,
        sentinel_username=query.get("sentinel_username"),
        sentinel_password=query.get("sentinel_password"),
    )


def _path(path: str, kind: Kind) -> tuple[str, int]:
    names = [unquote(name) for name in path.strip("/").split("/") if name]
    if kind == "cluster":
        if names and names != ["0"]:
            raise ValueError("a Redis Cluster has no databases: end the address after the last port")
        return "", 0
    if not names or len(names) > 2 or (len(names) == 2 and not names[1].isdigit()):
        raise ValueError(
            "Sentinel needs the name of its master, and at most a database: .../mymaster or .../mymaster/0"
        )
    return names[0], int(names[1]) if len(names) == 2 else 0


def _host(text: str, usual_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or parts.path:
        raise ValueError(f"must list host:port separated by commas, with ports from 1 to 65535; {_HOW}")
    return host, port or usual_port


def _port_fits(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False
