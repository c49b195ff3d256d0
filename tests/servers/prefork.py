"""`python -m tests.servers.prefork FD`: starts `python -m MODULE` from a process that has loaded the libraries already.

Half of the processor's time in a test of a whole installation went into loading the web framework, redis and minio
again for each process. A child here loads the product itself anew, so that it is the product as it starts anywhere.
Orders are JSON on a socket; the answer is the child's pidfd and a pipe on which its end is told, as a return code.
This process ends with its orderer, and every child with this process.
"""

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from runpy import run_module
from typing import Any

_ORDER_BYTES = 65536
_LOADED = """
import sys, daemon.coordinator.process, shards.process
print("\\n".join(name for name in sys.modules if name.partition(".")[0] not in {"daemon", "shards", "__main__"}))
"""


def main(orders: socket.socket) -> Callable[[], object] | None:
    """Serve orders until the other side is closed; in a child, return what it is to do."""
    _load_libraries()
    gc.collect()
    gc.freeze()  # the collector would otherwise touch, and so copy, every page in every child
    with selectors.DefaultSelector() as selector:
        selector.register(orders, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is not None:
                    selector.unregister(key.fileobj)
                    _tell_end(*key.data)
                elif not (order := orders.recv(_ORDER_BYTES)):
                    return None
                elif (child := _fork(orders, selector)) is None:
                    return _become(json.loads(order))
                else:
                    selector.register(child[1], selectors.EVENT_READ, child)


def _load_libraries() -> None:
    names = subprocess.run([sys.executable, "-c", _LOADED], check=True, capture_output=True, text=True).stdout.split()
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # made by another module as that was loaded


def _fork(orders: socket.socket, selector: selectors.BaseSelector) -> tuple[int, int, int] | None:
    """Fork; return the child with its pidfd and the pipe for its end, or None in the child."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        open_fds = [key.fd for key in selector.get_map().values()]
        pipes = [key.data[2] for key in selector.get_map().values() if key.data is not None]
        for fd in {*open_fds, *pipes, told, tell}:
            os.close(fd)
        orders.detach()
        return None
    pidfd = os.pidfd_open(child)
    socket.send_fds(orders, [str(child).encode()], [pidfd, told])
    os.close(told)
    return child, pidfd, tell


def _tell_end(child: int, pidfd: int, tell: int) -> None:
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(tell, str(os.waitstatus_to_exitcode(status)).encode())
    os.close(tell)
    os.close(pidfd)


def _become(order: dict[str, Any]) -> Callable[[], object]:
    _die_with_parent()
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    module, *arguments = order["words"]
    sys.argv = [module, *arguments]
    return lambda: run_module(module, run_name="__main__", alter_sys=True)


def _die_with_parent() -> None:
    import ctypes  # not the product's own: that must not be loaded before the fork

    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)


if __name__ == "__main__":
    _die_with_parent()
    become = main(socket.socket(fileno=int(sys.argv[1])))
    if become is not None:
        become()
