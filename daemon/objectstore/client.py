"""Making the minio client, so that it is safe for R2 and runs on urllib3 1.26 and 2.

Make it once in a process, after any fork; it is safe to use from several threads.
"""

from datetime import datetime
from typing import Any
from urllib.parse import SplitResult

import certifi
import urllib3  # type: ignore[import-untyped]  # typed only from version 2 on
from minio import Minio
from minio.credentials.credentials import Credentials
from minio.helpers import DictType

from daemon.objectstore.body import Body
from daemon.objectstore.config import ObjectStoreConfig, StoreTimeouts

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})


def make_client(config: ObjectStoreConfig) -> Minio:
    """Return the client for normal use. Nothing is sent yet.

    Raises:
        SettingsError: the endpoint is not usable.
    """
    times = config.timeouts
    return _make(config, connect_s=times.connect_s, read_s=times.read_s, tries=times.tries, size=config.connections)


def make_check_client(config: ObjectStoreConfig) -> Minio:
    """Return a client that answers soon or not at all, for health checks. Raises as `make_client`."""
    limit_s = config.timeouts.check_s
    return _make(config, connect_s=limit_s, read_s=limit_s, tries=0, size=1)


def _make(config: ObjectStoreConfig, *, connect_s: float, read_s: float, tries: int, size: int) -> Minio:
    retry = urllib3.Retry(
        total=tries,
        redirect=0,
        other=0,
        backoff_factor=config.timeouts.backoff_s,
        status_forcelist=RETRIED_STATUSES,
        allowed_methods=_METHODS,
        # A store could otherwise make a thread sleep for as long as it likes.
        respect_retry_after_header=False,
        # The last answer is given back instead of an error that has lost its code.
        raise_on_status=False,
        raise_on_redirect=False,
    )
    trusted = str(config.ca_file or certifi.where())
    tls: dict[str, Any] = {"cert_reqs": "CERT_REQUIRED", "ca_certs": trusted} if config.secure else {}
    pool = urllib3.PoolManager(
        num_pools=2,
        maxsize=size,
        block=True,
        retries=retry,
        timeout=urllib3.Timeout(connect=connect_s, read=read_s),
        **tls,
    )
    _adapt(pool, config.timeouts)
    client = _Client(
        config.host,
        config.access_key,
        config.secret_key,
        secure=config.secure,
        # Any fixed region saves a GetBucketLocation for each bucket; R2's own is "auto".
        region=config.region,
        http_client=pool,
    )
    if config.path_prefix:
        _prepend_path(client, config.path_prefix.rstrip("/"))
    return client


class _Client(Minio):
    """minio's client, which here also sends a `Body`: its digests are known, so it is not read for them."""

    def _build_headers(
        self, host: str, headers: DictType | None = None, body: Any = None, creds: Credentials | None = None
    ) -> tuple[DictType, datetime]:
        if not isinstance(body, Body):
            return super()._build_headers(host, headers, body, creds)
        known: DictType = {"Content-Length": str(body.size_bytes), "Content-MD5": body.content_md5}
        made, date = super()._build_headers(host, {**(headers or {}), **known}, b"", creds)
        if not self._base_url.is_https:
            # Over TLS it stays UNSIGNED-PAYLOAD, as minio and R2 have it; MD5 is checked either way.
            made["x-amz-content-sha256"] = body.sha256
        return made, date


def _adapt(pool: Any, times: StoreTimeouts) -> None:
    """Give requests with a `Body` the time limit of their size, and let no request follow a redirect."""
    send = pool.urlopen

    def urlopen(method: str, url: str, **asked: Any) -> Any:
        body = asked.get("body")
        if isinstance(body, Body):
            read_s = times.answer_limit_s(body.size_bytes)
            asked["timeout"] = urllib3.Timeout(connect=times.connect_s, read=read_s)
        # urllib3 1.26 does not heed redirect=0 of the pool and would send a signed request wherever an answer points.
        return send(method, url, **{**asked, "redirect": False})

    pool.urlopen = urlopen


def _prepend_path(client: Minio, prefix: str) -> None:
    """Make the client use, and sign, a path before the bucket, which minio does not offer."""
    build = client._base_url.build

    def prefixed(**asked: Any) -> SplitResult:
        url: SplitResult = build(**asked)
        return url._replace(path=prefix + url.path)

    client._base_url.build = prefixed  # type: ignore[method-assign]  # no public way
