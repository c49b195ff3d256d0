"""Makes supervisord look at once when a program ends.

supervisord sees an end when the next thing wakes it, and tells it when the one after that does: in a quiet
installation each takes up to a second, and so does the start of the program's next process. So the kernel tells us
(pidfd_open(2)), and any question over XML-RPC wakes supervisord as often as it needs.
"""

import asyncio
import http.client
import os
import xmlrpc.client
from functools import partial

import structlog
from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

from daemon.core.loops import first_done

log = structlog.get_logger()


class ExitWatch:
    """The processes under supervisord, each by a descriptor that becomes readable when it ends."""

    def __init__(self, server_url: str | None) -> None:
        """`server_url` is supervisord's, as `unix:///path`; None if it can be asked nothing."""
        self._server_url = server_url
        self._watched: dict[int, int] = {}
        self._wake = asyncio.Event()
        self._wake.set()
        self._answered = True

    def look(self) -> None:
        """Learn about processes that were started; call it when supervisord tells of one."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set."""
        try:
            while True:
                await first_done(self._wake.wait(), stop.wait())
                if stop.is_set():
                    return
                self._wake.clear()
                self._watch(await self._ask())
        finally:
            for pid in list(self._watched):
                self._forget(pid)

    async def _ask(self) -> set[int]:
        try:
            pids = await asyncio.to_thread(_pids, self._server_url) if self._server_url else set()
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            if self._answered:
                log.warning("supervisord does not answer, exits are told up to 2 s later", error=type(error).__name__)
            self._answered = False
            return set()
        self._answered = True
        return pids

    def _watch(self, pids: set[int]) -> None:
        for pid in pids - self._watched.keys() - {os.getpid()}:
            try:
                descriptor = os.pidfd_open(pid)
            except OSError:  # it has ended already
                continue
            self._watched[pid] = descriptor
            asyncio.get_running_loop().add_reader(descriptor, partial(self._ended, pid))

    def _ended(self, pid: int) -> None:
        self._forget(pid)
        self._wake.set()

    def _forget(self, pid: int) -> None:
        descriptor = self._watched.pop(pid)
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


def _pids(server_url: str) -> set[int]:
    transport = SupervisorTransport(None, None, server_url)
    # The address is not used: the transport has its own.
    with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
        answer = proxy.supervisor.getAllProcessInfo()
    assert isinstance(answer, list)
    return {int(info["pid"]) for info in answer if info["pid"]}
