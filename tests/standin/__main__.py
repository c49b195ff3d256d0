"""Command line: `python -m tests.standin` runs one stand-in until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from tests.standin.devices import write_atomically
from tests.standin.server import StandIn


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the flags; their defaults are those of `Options`."""
    parser = argparse.ArgumentParser(prog="python -m tests.standin", description="A stand-in for web.whatsapp.com.")
    add = parser.add_argument
    add("--port", type=int, default=0, help="site port; 0 lets the system choose")
    add("--control-port", type=int, default=0, help="port of the control API, always plain HTTP on loopback")
    add("--tls", action="store_true", help="serve the site over TLS as web.whatsapp.com")
    add("--cert-dir", type=Path, help="keep the TLS key here across runs")
    add("--state-file", type=Path, help="keep linked devices here across runs")
    add("--ready-file", type=Path, help="write addresses and fingerprint here as JSON once it listens")
    add("--sw-mb", type=float, default=0, help="megabytes the service worker caches")
    add("--http-mb", type=float, default=0, help="megabytes that go into the HTTP cache")
    add("--ref-ttl-ms", type=int, default=20_000, help="how long one QR code is shown")
    add("--sync-ms", type=int, default=1_500, help="from log-in to a usable page")
    add("--cold-ms", type=int, default=0, help="delay before the page starts")
    add("--trusted-types", action="store_true", help="require Trusted Types in the page's policy")
    add("--no-csp", action="store_true", help="send no Content-Security-Policy")
    add("--quiet", action="store_true", help="do not print events on stderr")
    return parser.parse_args(arguments)


async def run(flags: argparse.Namespace) -> None:
    """Serve until a signal asks to stop."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    names: tuple[str, ...] = ("port", "control_port", "tls", "cert_dir", "state_file", "quiet", "sw_mb", "http_mb")
    names += ("ref_ttl_ms", "sync_ms", "cold_ms", "trusted_types")
    async with StandIn(csp=not flags.no_csp, **{name: getattr(flags, name) for name in names}) as standin:
        print(standin.ready_line(), flush=True)
        if flags.ready_file is not None:
            write_atomically(flags.ready_file, standin.ready_line().encode())
        await stopping.wait()


def main() -> None:
    """Run; a wrong setting or a port in use is one line and exit code 2."""
    try:
        asyncio.run(run(parse()))
    except (ValueError, OSError) as error:
        print(f"standin: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
