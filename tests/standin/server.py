"""One running stand-in: a site port for browsers and a control port for "the phone", both on loopback."""

from __future__ import annotations

import json
import os
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.standin.certificate import load_identity
from tests.standin.control import Control
from tests.standin.devices import Devices
from tests.standin.journal import Journal
from tests.standin.loopback import require_loopback
from tests.standin.options import Options
from tests.standin.site import Site
from tests.standin.wire import Wire


class StandIn:
    """Start it inside a test with `async with StandIn(sync_ms=200, ref_ttl_ms=4000) as standin:`.

    Keyword arguments that are not named here are those of `Options`. Ports of 0 are chosen by the system and known
    after the start. `cert_dir` keeps the TLS key (and so `spki`) across runs, `state_file` the linked devices.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        control_port: int = 0,
        tls: bool = False,
        cert_dir: str | Path | None = None,
        state_file: str | Path | None = None,
        quiet: bool = True,
        **options: Any,
    ) -> None:
        self.host = require_loopback(host)
        self.port = port
        self.control_port = control_port
        self.tls = tls
        self.spki: str | None = None
        self.options = Options(**options)
        self._cert_dir = Path(cert_dir) if cert_dir is not None else None
        self._state_file = Path(state_file) if state_file is not None else None
        self._quiet = quiet
        self._runners: list[web.AppRunner] = []

    @property
    def url(self) -> str:
        """The page's address when no host name is mapped."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}/"

    @property
    def control_url(self) -> str:
        """Base address of the control API, without a slash at the end."""
        return f"http://127.0.0.1:{self.control_port}"

    async def start(self) -> Self:
        """Listen on both ports; on return pages and control requests are served."""
        self.journal = Journal(quiet=self._quiet)
        self.devices = Devices(self._state_file)
        self.wire = Wire(self.options, self.devices, self.journal)
        site = Site(self.options, self.wire)
        control = Control(self.options, self.devices, self.journal, self.wire, site)
        context = None
        if self.tls:
            identity = load_identity(self._cert_dir)
            context, self.spki = identity.context, identity.spki
        try:
            self.port = await self._listen(site.app, self.host, self.port, context)
            self.control_port = await self._listen(control.app, "127.0.0.1", self.control_port, None)
        except BaseException:
            await self.stop()
            raise
        return self

    async def stop(self) -> None:
        """Close connections and ports, and write the state file. Safe to call twice."""
        await self.wire.stop()
        while self._runners:
            await self._runners.pop().cleanup()
        self.devices.save()

    async def _listen(self, app: web.Application, host: str, port: int, context: ssl.SSLContext | None) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, host, port, ssl_context=context).start()
        return int(runner.addresses[0][1])

    def ready_line(self) -> str:
        """What the command prints and writes to its ready file: addresses, fingerprint and process id, as JSON."""
        return json.dumps(
            {"url": self.url, "port": self.port, "control": self.control_url, "spki": self.spki, "pid": os.getpid()}
        )

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
