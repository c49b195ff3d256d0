"""The demo's own home in var/demo: made at the start, removed at the end, reached by the checkout's supervisorctl."""

import contextlib
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from daemon.core.settings import SECTIONS
from daemon.embedded.home import Home, make_home, remove_home, this_home
from daemon.embedded.plan import S3_ACCESS_KEY
from daemon.embedded.redis import redis_url
from tests.servers.child import free_ports

PROGRAMS = ("supervisord.d/redis.conf", "supervisord.d/s3.conf", "tests/demo/standin.conf")
_USUAL_PORT = 8080


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Where everything of one demo is."""

    home: Home
    url: str
    control_url: str
    api_token: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    environment: dict[str, str] = field(repr=False)
    shards: int

    @property
    def profile_root(self) -> Path:
        """The live Chromium profiles."""
        return self.home.var / "profiles"


@contextlib.contextmanager
def installation(*, shards: int, port: int | None, webhook_port: int) -> Iterator[Installation]:
    """Make the demo's home; remove it afterwards unless the block raised an Exception, then say where it is.

    Raises:
        CannotStartError: something runs in this checkout already.
    """
    checkout = this_home()
    with checkout.locked():
        root = checkout.var / "demo"
        shutil.rmtree(root, ignore_errors=True)
        home = make_home(root, checkout)
        made = _installation(home, shards=shards, port=port or _free_port(), webhook_port=webhook_port)
        home.prepare(home.root / name for name in PROGRAMS)
        with _reached_from(checkout, home):
            try:
                yield made
            except Exception:
                print(f"\nKept for a look: {os.path.relpath(home.log_dir)} has the logs of all programs.")
                raise
            except BaseException:
                remove_home(home)
                raise
        remove_home(home)


def _installation(home: Home, *, shards: int, port: int, webhook_port: int) -> Installation:
    first = free_ports(6)
    token, webhook_secret = secrets.token_hex(16), secrets.token_hex(16)
    standin, control = first + 4, first + 5
    environment = {
        **_foreign_environment(),
        "DATA_ROOT": str(home.var),
        "SHARD_COUNT": str(shards),
        "COORDINATOR_PORT": str(port),
        "API_TOKEN": token,
        "LARAVEL_WEBHOOK": f"http://127.0.0.1:{webhook_port}/webhook",
        "LARAVEL_WEBHOOK_SECRET": webhook_secret,
        "REDIS_URL": redis_url(home.var),
        "R2_ENDPOINT": f"http://127.0.0.1:{first}",
        "EMBEDDED_S3_PORT": str(first),
        "R2_ACCESS_KEY_ID": S3_ACCESS_KEY,
        "R2_SECRET_ACCESS_KEY": secrets.token_hex(24),
        "WHATSAPP_WEB_URL": f"http://127.0.0.1:{standin}/",
        "STANDIN_PORT": str(standin),
        "STANDIN_CONTROL_PORT": str(control),
    }
    return Installation(
        home=home,
        url=f"http://127.0.0.1:{port}",
        control_url=f"http://127.0.0.1:{control}",
        api_token=token,
        webhook_secret=webhook_secret,
        environment=environment,
        shards=shards,
    )


def _foreign_environment() -> dict[str, str]:
    """Return the environment without the settings of a real installation, but with the choice of a browser."""
    kept = {"CHROMIUM_PATH", "CHROMIUM_EXTRA_ARGS", "CHROMIUM_SANDBOX"}
    ours = {str(field.alias) for section in SECTIONS.values() for field in section.model_fields.values()}
    return {name: value for name, value in os.environ.items() if name not in ours - kept}


def _free_port() -> int:
    for port in (_USUAL_PORT, 0):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)) as server:
            return int(server.getsockname()[1])
    raise OSError("there is no free port")


@contextlib.contextmanager
def _reached_from(checkout: Home, home: Home) -> Iterator[None]:
    """Let `supervisorctl -c supervisord.conf` in the checkout speak to the demo, unless a supervisord is there."""
    link = checkout.control_socket
    if not _answers(link):
        link.unlink(missing_ok=True)  # left by a supervisord or a demo that was killed
        link.symlink_to(home.control_socket)
    try:
        yield
    finally:
        if link.is_symlink():
            link.unlink()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
