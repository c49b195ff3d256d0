"""Turning SIGTERM and SIGINT into an orderly stop; a second signal hurries."""

import asyncio
import os
import signal

import structlog

from daemon.core.exit_codes import ExitCode

log = structlog.get_logger()


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` on the first SIGTERM or SIGINT; leave at once on the second of SIGINT.

    Call it on the running event loop. A second SIGTERM changes nothing, because supervisord may repeat it while final
    backups are being taken.
    """
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set() and number is signal.SIGINT:
            log.warning("second interrupt: leaving without waiting")
            os._exit(ExitCode.TEMPORARY)
        if not stop.is_set():
            log.info("stopping", signal=number.name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
