"""How the object store is reached: one frozen value, checked before anything is sent."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from daemon.core.errors import SettingsError
from daemon.core.sections import ObjectStoreSettings

_BUFFERED_BYTES = 8 << 20


@dataclass(frozen=True, kw_only=True)
class StoreTimeouts:
    """Limits of one request, in seconds.

    `connect_s` also bounds, inside urllib3, handing one piece of a body to the kernel. `read_s` waits for the answer,
    and between two pieces of it.
    """

    connect_s: float = 20.0
    read_s: float = 30.0
    transfer_s: float = 120.0
    """Each try to send or receive an object has this long, and the time it takes at `min_bytes_per_s`."""
    min_bytes_per_s: int = 100_000
    tries: int = 3
    """Further tries after the first, for answers that may be better next time."""
    backoff_s: float = 0.5
    check_s: float = 3.0
    """Limit of a health check, which is never repeated."""

    def transfer_limit_s(self, size_bytes: int) -> float:
        """Return how long the bytes of an object may be under way."""
        return self.transfer_s + size_bytes / self.min_bytes_per_s

    def answer_limit_s(self, size_bytes: int) -> float:
        """Return how long to wait for the answer after a body was sent: its end may still lie in the kernel."""
        return self.read_s + min(size_bytes, _BUFFERED_BYTES) / self.min_bytes_per_s


@dataclass(frozen=True, kw_only=True)
class ObjectStoreConfig:
    """Address, credentials and bucket.

    `path_prefix` is for test servers that live below a path; `ca_file` is a PEM file of the authorities to trust
    instead of the public ones.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str
    region: str = "auto"
    debug: bool = False
    path_prefix: str = ""
    ca_file: Path | None = None
    timeouts: StoreTimeouts = StoreTimeouts()
    connections: int = 8

    @property
    def secure(self) -> bool:
        """Whether the endpoint is reached over TLS."""
        return urlsplit(self.endpoint).scheme == "https"

    @property
    def host(self) -> str:
        """Host and port of the endpoint.

        Raises:
            SettingsError: the endpoint is more than scheme, host and port.
        """
        parts = urlsplit(self.endpoint)
        # Cloudflare's dashboard shows the address with the bucket behind it, so that is what people paste.
        path = parts.path.strip("/")
        if parts.username or parts.query or path not in {"", self.bucket} or not parts.hostname:
            raise SettingsError(
                "R2_ENDPOINT must be scheme, host and port only",
                hint="for example https://ACCOUNT_ID.r2.cloudflarestorage.com; the bucket goes into R2_BUCKET_NAME",
            )
        return parts.netloc


def object_store_config(settings: ObjectStoreSettings) -> ObjectStoreConfig:
    """Return the configuration for these settings."""
    return ObjectStoreConfig(
        endpoint=settings.endpoint,
        access_key=settings.access_key_id,
        secret_key=settings.secret_access_key.get_secret_value(),
        bucket=settings.bucket,
        debug=settings.debug,
        path_prefix=settings.path_prefix,
    )
