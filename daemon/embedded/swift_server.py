"""`python -m daemon.embedded.swift_server ROOT PORT ACCOUNT BUCKET`: Swift's four servers in this one process.

Only `daemon.embedded.s3` starts it, and has written the configuration. Swift and eventlet are imported nowhere else:
eventlet replaces blocking parts of the standard library for the whole process.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from daemon.embedded.errors import CannotStartError
from daemon.embedded.swift_config import BACKENDS, DEVICE, SwiftLayout


def serve(layout: SwiftLayout, account: str, bucket: str) -> None:
    """Serve until the process ends; print one line once the bucket can be used.

    Raises:
        CannotStartError: Swift is not installed, or refuses the bucket.
    """
    _patch_threads()
    _use_directory(layout)
    _write_rings(layout)
    apps = {server: _load(layout, server) for server in (*BACKENDS, "proxy")}
    threads = {server: _listen(layout, server, app) for server, app in apps.items()}
    _create_bucket(apps["proxy"], account, bucket)
    print(f"s3: ready on http://127.0.0.1:{layout.port} with bucket {bucket}", flush=True)
    threads["proxy"].wait()


def _patch_threads() -> None:
    try:
        import eventlet  # type: ignore[import-untyped]
        import swift  # type: ignore[import-untyped]  # noqa: F401  # before any port is opened
    except ImportError as error:
        raise CannotStartError(
            f"the embedded S3 server is not installed: {error}", hint="run bin/setup, or set R2_* to another server"
        ) from error
    eventlet.monkey_patch()


def _use_directory(layout: SwiftLayout) -> None:
    # Without this Swift reads /etc/swift.
    from swift.common import constraints, storage_policy, utils  # type: ignore[import-untyped]

    utils.set_swift_dir(str(layout.config_dir))
    constraints.reload_constraints()
    storage_policy.reload_storage_policies()


def _write_rings(layout: SwiftLayout) -> None:
    # A ring maps names to partitions by hash only; with one device, rebuilding it for other ports moves nothing.
    from swift.common.ring import RingBuilder  # type: ignore[import-untyped]

    for server in BACKENDS:
        ring = RingBuilder(4, 1, 0)
        device = {"region": 1, "zone": 1, "ip": "127.0.0.1", "device": DEVICE, "weight": 1.0}
        ring.add_dev({**device, "port": layout.port_of(server)})
        ring.rebalance()
        ring.get_ring().save(str(layout.config_dir / f"{server}.ring.gz"))


def _load(layout: SwiftLayout, server: str) -> Any:
    from swift.common.wsgi import loadapp  # type: ignore[import-untyped]

    return loadapp(str(layout.config_dir / f"{server}.conf"), global_conf={"log_name": server})


def _listen(layout: SwiftLayout, server: str, app: Any) -> Any:
    import eventlet
    from eventlet import wsgi
    from swift.common.wsgi import SwiftHttpProtocol

    listener = eventlet.listen(("127.0.0.1", layout.port_of(server)), backlog=1024, reuse_port=False)
    return eventlet.spawn(
        wsgi.server,
        listener,
        app,
        _NoAccessLog(),
        max_size=1024,
        protocol=SwiftHttpProtocol,
        debug=False,
        socket_timeout=60,
        capitalize_response_headers=False,
    )


class _NoAccessLog:
    """Swallows eventlet's line for each request."""

    def write(self, _text: str) -> None:
        """Drop a line."""

    def info(self, _text: str) -> None:
        """Drop a line."""

    debug = info


def _create_bucket(proxy: Any, account: str, bucket: str) -> None:
    from swift.common.swob import Request  # type: ignore[import-untyped]

    # Inside the process tempauth lets the owner of the environment in; over HTTP this flag cannot be sent.
    inside = {"REQUEST_METHOD": "PUT", "swift.authorize_override": True}
    response = Request.blank(f"/v1/AUTH_{account}/{bucket}", inside).get_response(proxy)
    if response.status_int not in (201, 202):
        raise CannotStartError(
            f"the embedded S3 server cannot create its bucket: {response.status}", hint="see its log", bucket=bucket
        )


def main() -> None:
    """Serve what the command line says."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    root, port, account, bucket = sys.argv[1:]
    try:
        serve(SwiftLayout(root=Path(root), port=int(port)), account, bucket)
    except CannotStartError as error:
        print(f"s3: {error}; {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)


def _leave(_number: int, _frame: object) -> None:
    # Every answered write is on disk, and nothing else has to be put in order.
    os._exit(0)


if __name__ == "__main__":
    main()
