"""Which version a Chromium binary is: asked once per file and process."""

import asyncio
import functools
import re
import subprocess
from pathlib import Path

from daemon.core.errors import BrowserError
from daemon.core.settings import child_environment

_VERSION = re.compile(r"\d+\.\d+\.\d+\.\d+")


async def binary_version(chromium_path: Path) -> str:
    """Return the version of a Chromium binary; asked once per file.

    Raises:
        BrowserError: there is no such binary, or it is no Chromium.
    """
    try:
        modified_ns = chromium_path.stat().st_mtime_ns
    except OSError as error:
        raise BrowserError(
            f"there is no Chromium at {chromium_path}",
            hint="install the package chromium-headless-shell or chromium, or set CHROMIUM_PATH",
        ) from error
    return await asyncio.to_thread(_ask_version, chromium_path, modified_ns)


@functools.cache
def _ask_version(chromium_path: Path, modified_ns: int) -> str:
    try:
        answer = subprocess.run(
            [str(chromium_path), "--version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env=child_environment(),
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrowserError(f"{chromium_path} does not tell its version", hint="set CHROMIUM_PATH") from error
    found = _VERSION.search(answer)
    if found is None:
        raise BrowserError(f"{chromium_path} is no Chromium: its --version says {answer[:80]!r}")
    return found[0]
