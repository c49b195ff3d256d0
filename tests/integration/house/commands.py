"""The command line as an operator of a house runs it."""

import asyncio
import sys

from tests.integration.house.house import House

_TIMEOUT_S = 60


async def blazz(house: House, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run a command with the settings of the house and these; return exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "daemon.cli",
        *arguments,
        cwd=house.home,
        env={**house.environment(), **settings},
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
    return process.returncode or 0, out.decode(), err.decode()
