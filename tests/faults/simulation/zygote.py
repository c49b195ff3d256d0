"""`python -m tests.faults.simulation.zygote FD`: forks shards and coordinators that have imported everything already.

A start costs some milliseconds instead of a second. Orders are JSON on a socket; the answer is a pidfd, so that
whoever ordered a process can signal it and wait for it without ever meeting another one of its number. Every child
ends with this process, and this process with its orderer.
"""

import asyncio
import gc
import json
import os
import random
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import daemon.coordinator.process
import daemon.core.clock
from daemon.core.logs import configure_logs
from daemon.core.settings import Settings
from daemon.embedded.parent import die_with_parent
from shards.identity import ShardIdentity
from shards.process import ShardProcess
from tests.faults.simulation.breaking import BREAKS
from tests.faults.simulation.engine import simulated_engine
from tests.faults.simulation.jumping import let_jump
from tests.faults.simulation.pace import Place, quick_settings, quicken

_ORDER_BYTES = 65536


def main(orders: socket.socket) -> None:
    """Fork a child for each order until the other side is closed."""
    die_with_parent(signal.SIGKILL)
    quicken()
    gc.collect()
    gc.freeze()  # the collector would otherwise touch, and so copy, every page in every child
    while order := orders.recv(_ORDER_BYTES):
        child = os.fork()
        if not child:
            orders.close()
            os._exit(_live(json.loads(order)))
        pidfd = os.pidfd_open(child)
        socket.send_fds(orders, [str(child).encode()], [pidfd])
        os.close(pidfd)
        _reap()


def _reap() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def _live(order: dict[str, Any]) -> int:
    """Be what was ordered, until the end; return the exit code."""
    die_with_parent(signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    random.seed(order["seed"])
    try:
        place = Place(
            data_root=Path(order["data_root"]),
            redis_url=order["redis_url"],
            store=order["store"],
            archives_soon=order["archives_soon"],
        )
        settings = quick_settings(place)
        configure_logs(settings.log, process=order["name"])
        let_jump(Path(order["clock"]))
        for name in order["breaks"]:
            BREAKS[name]()
        asyncio.run(_run(order, settings))
    except BaseException as error:
        print(f"process ends: {error!r}", file=sys.stderr, flush=True)
        if isinstance(error, BaseExceptionGroup):
            import traceback

            traceback.print_exception(error)
        return 1
    return 0


async def _run(order: dict[str, Any], settings: Settings) -> None:
    if order["kind"] == "coordinator":
        await daemon.coordinator.process.Coordinator(settings).run()
        return
    with ShardIdentity(order["name"], settings.paths.run_dir) as identity:
        await ShardProcess(settings, identity, make_engine=simulated_engine(Path(order["judge"]))).run()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
