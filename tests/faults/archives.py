"""What lies in the bucket, asked past every proxy and read by the product's own checks."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from daemon.core.errors import ObjectNotFoundError
from daemon.objectstore.archives import Archives
from shards.archive.head import read_head
from shards.archive.keyring import Keyring
from shards.archive.unpack import Expected, UnpackLimits, verify
from tests.servers.s3 import S3Server

_WORKSPACE = "1"


async def stored_orders(s3: S3Server, session_id: str) -> list[tuple[int, int]]:
    """Return the `(token, generation)` of every archive of a session, newest first."""
    with ThreadPoolExecutor(1) as threads:
        return [ref.order for ref in await Archives(s3.config(), threads).newest_first(_WORKSPACE, session_id)]


async def verify_archives(s3: S3Server, session_ids: Sequence[str], *, keys: Mapping[str, bytes] | None = None) -> None:
    """Check that every archive of these sessions is whole, and that no two are of one generation.

    `keys` are those that they are encrypted with; without any they must be plain.
    """
    with ThreadPoolExecutor(2) as threads, tempfile.TemporaryDirectory() as folder:
        archives = Archives(s3.config(), threads)
        for session_id in session_ids:
            found = await archives.newest_first(_WORKSPACE, session_id)
            orders = [ref.order for ref in found]
            assert found and len(set(orders)) == len(orders), orders
            for ref in found:
                path = Path(folder, ref.key.replace("/", "_"))
                try:
                    await archives.fetch(ref, path)
                except ObjectNotFoundError:
                    # Retention goes on meanwhile: it may take old ones, and never the newest.
                    assert ref.order not in await stored_orders(s3, session_id) and ref is not found[0]
                    continue
                await asyncio.to_thread(partial(_verify, path, session_id, ref.order, Keyring(keys or {})))


def _verify(path: Path, session_id: str, order: tuple[int, int], keyring: Keyring) -> None:
    assert read_head(path).key_id == keyring.sealing
    expected = Expected(session_id=session_id, order=order)
    verify(path, limits=UnpackLimits(), keyring=keyring, expected=expected, work_dir=path.parent)
