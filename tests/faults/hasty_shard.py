"""`python -m tests.faults.hasty_shard --name shard_00`: a shard that gives up on its object store after seconds.

The product waits minutes for a store that takes connections and never answers, which is longer than a test may last.
"""

from daemon.objectstore.config import ObjectStoreConfig, StoreTimeouts
from shards.__main__ import main

HASTY = StoreTimeouts(connect_s=1, read_s=1, transfer_s=3, tries=1, backoff_s=0.1, check_s=1)


def shorten() -> None:
    """Make these the time-outs of every object store in this process that is given no others."""
    defaults = ObjectStoreConfig.__init__.__kwdefaults__
    if not isinstance(defaults["timeouts"], StoreTimeouts):
        raise TypeError("the object store's time-outs are not where they were")
    defaults["timeouts"] = HASTY


if __name__ == "__main__":
    shorten()
    main()
