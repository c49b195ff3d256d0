"""Real S3 servers for tests: OpenStack Swift as the product embeds it, and Cloudflare's own local R2."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daemon.objectstore.config import ObjectStoreConfig
from tests.places import SHORT
from tests.servers.certificate import make_certificate
from tests.servers.child import free_ports, retried, running

BUCKET = "blazz-tests"
_REPOSITORY = Path(__file__).parents[2]
_R2LOCAL = _REPOSITORY / "tests" / "r2local"


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A running server with an empty bucket. `atomic_create`: of racing If-None-Match writers exactly one wins."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str = BUCKET
    path_prefix: str = ""
    ca_file: Path | None = None
    atomic_create: bool = True

    def config(self) -> ObjectStoreConfig:
        """Return how the product reaches it."""
        return ObjectStoreConfig(
            endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
            bucket=self.bucket,
            path_prefix=self.path_prefix,
            ca_file=self.ca_file,
        )

    def environment(self) -> dict[str, str]:
        """Return the settings with which a process of the product reaches it."""
        return {
            "R2_ENDPOINT": self.endpoint,
            "R2_ACCESS_KEY_ID": self.access_key,
            "R2_SECRET_ACCESS_KEY": self.secret_key,
            "R2_BUCKET_NAME": self.bucket,
            "R2_PATH_PREFIX": self.path_prefix,
        }


@contextlib.contextmanager
def swift_server() -> Iterator[S3Server]:
    """Run OpenStack Swift with its S3 front end, as `bin/up` does."""
    access_key, secret_key = "blazz:tests", "secretkeyofthetests0"
    with tempfile.TemporaryDirectory(prefix="swift-", dir=SHORT) as folder:

        @contextlib.contextmanager
        def start() -> Iterator[str]:
            env = {
                "DATA_ROOT": folder,
                "EMBEDDED_S3_PORT": str(free_ports(4)),
                "R2_ACCESS_KEY_ID": access_key,
                "R2_SECRET_ACCESS_KEY": secret_key,
                "R2_BUCKET_NAME": BUCKET,
            }
            command = [sys.executable, "-m", "daemon.embedded.s3"]
            with running(command, env=env, ready=r"ready on (http://\S+)") as ready:
                yield ready[1]

        with retried(start) as endpoint:
            yield S3Server(endpoint=endpoint, access_key=access_key, secret_key=secret_key, atomic_create=False)


@contextlib.contextmanager
def r2local_server(*, tls: bool = False, buckets: Sequence[str] = (BUCKET,)) -> Iterator[S3Server]:
    """Run Cloudflare's local R2 with these buckets; over TLS the client signs as it does for R2 itself."""
    node = Path(sys.executable).parent / "node"
    assert (_R2LOCAL / "node_modules" / "miniflare").is_dir(), "local R2 is not installed: run bin/setup --tests"
    access_key, secret_key = "r2localaccess", "r2localsecretkey"
    env = {"S3_ACCESS_KEY": access_key, "S3_SECRET_KEY": secret_key}
    with tempfile.TemporaryDirectory(prefix="r2-", dir=SHORT) as folder:
        certificate = make_certificate(Path(folder)) if tls else None
        if certificate is not None:
            env |= {"TLS_CERT": str(certificate.cert), "TLS_KEY": str(certificate.key)}
        command = [node, _R2LOCAL / "r2local.mjs", f"{folder}/data", "0", ",".join(buckets), *(["tls"] if tls else [])]
        with running(command, env=env, ready=r"r2local ready (https?://[^/\s]+)(/\S+)") as ready:
            yield S3Server(
                endpoint=ready[1],
                bucket=buckets[0],
                path_prefix=ready[2],
                access_key=access_key,
                secret_key=secret_key,
                ca_file=certificate.cert if certificate else None,
            )
