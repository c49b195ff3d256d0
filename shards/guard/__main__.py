"""`python -m shards.guard`: started by a shard with one end of a socket; ends with it."""

import argparse
import signal
import socket
from pathlib import Path

from shards.guard.watch import IGNORED, Watch


def main() -> None:
    """Watch until the shard is gone, end what it left, and exit."""
    parser = argparse.ArgumentParser(prog="shards.guard")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--shard", required=True)
    parser.add_argument("--notes", type=Path, required=True)
    parser.add_argument("--sessions", type=Path, required=True)
    parser.add_argument("--lock", type=Path, required=True)
    given = parser.parse_args()
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    orders = socket.socket(fileno=given.fd)
    Watch(orders, shard=given.shard, notes=given.notes, sessions=given.sessions, lock=given.lock).run()


if __name__ == "__main__":
    main()
