"""What is asked of sessions as over the API, and what must have come of it in the end."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from redis.exceptions import RedisError

from daemon.coordinator.directory import Directory
from daemon.coordinator.health import Health
from daemon.coordinator.placer import Placer
from daemon.core.errors import BlazzError, NotFoundError, SessionTakenError
from daemon.core.settings import Settings
from daemon.objectstore.archives import Archives
from daemon.objectstore.config import object_store_config
from daemon.registry.registry import Registry
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired
from tests.faults.simulation.history import History, Kind
from tests.faults.simulation.schedule import Wish

_WORKSPACE = "1"
_TRY_AGAIN_S = 0.1


class Asking:
    """The API's side of one schedule, over a line of its own to Redis."""

    def __init__(self, settings: Settings, history: History, *, seed: int) -> None:
        self._history = history
        self._seed = seed
        self._registry = Registry(settings)
        self._executor = ThreadPoolExecutor(max_workers=1)
        archives = Archives(object_store_config(settings.object_store), self._executor)
        self._directory = Directory(
            self._registry,
            Placer(self._registry),
            Health(self._registry, archives),
            settings.send,
            command_timeout_s=1.0,
        )
        self._turns: dict[str, asyncio.Lock] = {}
        self.wanted: dict[str, Desired | None] = {}
        """What was asked of each session last; None: nobody knows whether it was taken."""

    def session_id(self, number: int) -> str:
        """Return the id of a session of this schedule."""
        return f"session-s{self._seed}u{number}-{_WORKSPACE}"

    async def close(self) -> None:
        """Close the line."""
        with contextlib.suppress(RedisError):  # the server is gone
            await self._registry.close()
        self._executor.shutdown(wait=False)

    async def ask(self, wish: Wish, number: int) -> None:
        """Ask for something; wishes for one session come one after another."""
        session_id = self.session_id(number)
        async with self._turns.setdefault(session_id, asyncio.Lock()):
            try:
                await self._ask(wish, number)
            except (NotFoundError, SessionTakenError) as error:
                self._history.note(Kind.WISH, session_id, wish=wish, refused=error.code)
            except BlazzError as error:
                self.wanted[session_id] = None
                self._history.note(Kind.WISH, session_id, wish=wish, unknown=error.code)
            else:
                self._history.note(Kind.WISH, session_id, wish=wish, taken=True)

    async def _ask(self, wish: Wish, number: int) -> None:
        session_id, began_s = self.session_id(number), time.time()
        match wish:
            case Wish.CREATE:
                user = f"s{self._seed}u{number}"
                record, made = await self._directory.create(
                    workspace_id=_WORKSPACE, user_id=user, session_id=session_id
                )
                if made:
                    self._history.note(Kind.MADE, session_id, at_s=began_s)
                if made or self.wanted.get(session_id) is None:
                    # An earlier wish whose outcome nobody knew may have made it, too.
                    self.wanted[session_id] = record.desired
            case Wish.DELETE:
                self._history.note(Kind.DELETING, session_id)
                await self._directory.delete(session_id)
                self.wanted[session_id] = Desired.DELETED
            case Wish.STOP:
                await self._directory.stop(session_id)
                self.wanted[session_id] = Desired.STOPPED
            case Wish.START | Wish.RESTART:
                await (self._directory.start if wish is Wish.START else self._directory.restart)(session_id)
                self.wanted[session_id] = Desired.RUNNING

    async def drain(self, shard: str, for_s: float) -> None:
        """Drain a shard, and have it take sessions again later; neither is given up before it was taken."""
        await self._until_taken("drain", shard, self._directory.drain)
        await asyncio.sleep(for_s)
        await self._until_taken("undrain", shard, self._directory.undrain)

    async def _until_taken(self, wish: str, shard: str, ask: Callable[[str], Awaitable[object]]) -> None:
        while True:
            try:
                await ask(shard)
            except NotFoundError as error:  # a Redis that forgot everything forgot the drain, too
                self._history.note(Kind.WISH, shard, wish=wish, refused=error.code)
                return
            except BlazzError as error:
                self._history.note(Kind.WISH, shard, wish=wish, unknown=error.code)
                await asyncio.sleep(_TRY_AGAIN_S)
            else:
                self._history.note(Kind.WISH, shard, wish=wish, taken=True)
                return

    async def create_all(self, count: int) -> None:
        """Create all sessions of the schedule, as soon as Redis takes them."""
        for number in range(count):
            while self.session_id(number) not in self.wanted or self.wanted[self.session_id(number)] is None:
                await self.ask(Wish.CREATE, number)
                await asyncio.sleep(0 if self.wanted.get(self.session_id(number)) else _TRY_AGAIN_S)

    async def start_again(self, session_id: str) -> None:
        """Start a session that waits for a scan, as its user would."""
        await self._directory.start(session_id)

    async def records(self) -> Mapping[str, SessionRecord]:
        """Return all records by their sessions."""
        return {record.session_id: record for record in await self._registry.records.all()}
