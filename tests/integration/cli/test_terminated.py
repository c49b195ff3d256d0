"""A command that is told to end removes its temporary files, which may hold logins."""

import asyncio
import os
import sys
import zipfile
from pathlib import Path

from tests.integration.house.house import until

PART = b"x" * 1_000_000


def remote_auth_zip(path: Path, parts: int) -> None:
    """Write a zip as RemoteAuth does, that takes a while to unpack."""
    folder = "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(f"{folder}/CURRENT", b"MANIFEST-000001\n")
        for number in range(parts):
            archive.writestr(f"{folder}/{number:06d}.ldb", PART)


async def test_sigterm_leaves_nothing_in_the_temporary_directory(tmp_path: Path) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    remote_auth_zip(tmp_path / "RemoteAuth-a.zip", parts=600)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daemon.cli", "archive", "verify", str(tmp_path / "RemoteAuth-a.zip"),
        env={"PATH": os.environ["PATH"], "TMPDIR": str(scratch), "DATA_ROOT": str(tmp_path / "data")},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    async def unpacking() -> bool:
        return any(path.suffix == ".ldb" for path in scratch.rglob("*"))

    await until("it is unpacking", unpacking)
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 20) == 143
    assert list(scratch.iterdir()) == []
