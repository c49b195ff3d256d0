"""Whether the object store can be used now: one list of at most one object, answered soon or not at all."""

from dataclasses import dataclass

from daemon.core.errors import BlazzError
from daemon.objectstore.client import make_check_client
from daemon.objectstore.config import ObjectStoreConfig
from daemon.objectstore.store import ObjectStore


@dataclass(frozen=True, kw_only=True)
class StoreHealth:
    """What a check found. `sample_object` is the first name in the bucket, None when it is empty or unknown."""

    bucket: str
    connected: bool
    sample_object: str | None = None
    error: str | None = None


class StoreCheck:
    """Asks the store on a connection of its own, so that busy transfers do not make it look dead. Blocking."""

    def __init__(self, config: ObjectStoreConfig) -> None:
        self._store = ObjectStore(config, client=make_check_client(config))

    def sample_object(self) -> str | None:
        """Return the name of one object, None when the bucket is empty.

        Raises:
            ObjectStoreUnavailableError, ObjectStoreRefusedError: see `errors`.
        """
        found = self._store.list("", limit=1)
        return found[0].key if found else None

    def health(self) -> StoreHealth:
        """Ask, and never raise."""
        try:
            return StoreHealth(bucket=self._store.bucket, connected=True, sample_object=self.sample_object())
        except BlazzError as error:
            return StoreHealth(bucket=self._store.bucket, connected=False, error=error.message)
