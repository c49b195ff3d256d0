"""`python -m tests.standin`: what it announces, and how it ends."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import signal
import socket
import ssl
import sys
from pathlib import Path

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.integration.standin.chromium import until

TIMEOUT_S = 20


async def started(*flags: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.standin",
        *flags,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def spki_of(port: int) -> str:
    """The fingerprint of whatever key answers on this port."""
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=TIMEOUT_S)
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


async def test_it_announces_where_it_listens_and_ends_on_sigterm(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    process = await started("--tls", "--quiet", "--ready-file", str(ready_file), "--cert-dir", str(tmp_path))
    try:

        async def ready() -> str | None:
            assert process.returncode is None
            return ready_file.read_text() if ready_file.exists() else None

        announced = json.loads(await until(ready, TIMEOUT_S))
        assert announced["pid"] == process.pid
        assert announced["url"] == f"https://127.0.0.1:{announced['port']}/"
        assert await asyncio.to_thread(spki_of, announced["port"]) == announced["spki"]
        async with aiohttp.ClientSession() as http:
            async with http.get(announced["control"] + "/state") as response:
                assert (await response.json())["devices"] == []
            # A page that is still connected does not hold up the end.
            async with http.ws_connect(announced["url"] + "ws/chat", ssl=False):
                process.send_signal(signal.SIGTERM)
                out, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        assert process.returncode == 0
        assert json.loads(out) == announced
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_what_it_cannot_start_with_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    broken = tmp_path / "state.json"
    broken.write_text("[]")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for flags in (("--port", port), ("--ref-ttl-ms", "0"), ("--state-file", str(broken))):
            process = await started(*flags)
            _, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
            assert process.returncode == 2, flags
            assert err.startswith(b"standin: ") and err.count(b"\n") == 1, err
