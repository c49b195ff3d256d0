"""The real RemoteAuth of whatsapp-web.js with its S3 store: what a Node service leaves in the bucket."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from tests.servers.s3 import S3Server

_HERE = Path(__file__).parent
_TIMEOUT_S = 60


async def store_profile(profile_dir: Path, home: Path, s3: S3Server, *, client_id: str, folder: str) -> str:
    """Store a copy of a profile in the bucket below `folder` and return the object's name.

    `home` is an empty directory for what RemoteAuth writes. `client_id` is what the Node service calls the session.
    """
    assert (_HERE / "node_modules").is_dir(), "RemoteAuth is not installed: run bin/setup --tests"
    await asyncio.to_thread(shutil.copytree, profile_dir, home / f"RemoteAuth-{client_id}", symlinks=True)
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "node",
        _HERE / "remoteauth.js",
        home,
        client_id,
        folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "S3_ENDPOINT": s3.endpoint + s3.path_prefix,
            "S3_ACCESS_KEY": s3.access_key,
            "S3_SECRET_KEY": s3.secret_key,
            "S3_BUCKET": s3.bucket,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode(errors="replace")
    return out.decode().split()[-1]
