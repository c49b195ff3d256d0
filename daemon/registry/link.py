"""The connection to Redis: a client for each need, scripts, and one place that translates errors."""

import asyncio
import contextlib
import hashlib
import traceback
from collections.abc import AsyncIterator, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis.asyncio.cluster import ClusterNode, PipelineCommand, RedisCluster
from redis.exceptions import AskError, NoScriptError, RedisClusterException, RedisError

from daemon.core.clock import mono_s
from daemon.core.errors import RedisUnavailableError
from daemon.core.loops import FirmTimeout, cancel_all
from daemon.core.sections import RedisSettings
from daemon.registry.clients import close_client, close_nodes, make_client

_LUA = Path(__file__).parent / "lua"

_AWAY = (RedisError, RedisClusterException, OSError)

Call = tuple[str, Sequence[str], Sequence[str | int]]
"""A script by its name, with its keys and its arguments."""


@cache
def _script_text(name: str) -> str:
    return (_LUA / f"{name}.lua").read_text()


@cache
def _script_sha(name: str) -> str:
    return hashlib.sha1(_script_text(name).encode(), usedforsecurity=False).hexdigest()


def _away(what: str, error: Exception) -> RedisUnavailableError:
    return RedisUnavailableError(
        f"Redis did not {what}: {type(error).__name__}",
        hint="check that Redis runs and REDIS_URL is right; nothing was lost, it is tried again",
    )


def _is_of_redis_py(error: BaseException) -> bool:
    """Return whether it was raised in redis-py, which uses connections that it closed meanwhile in another task."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return bool(frames) and str(frames[-1][0].f_globals.get("__name__", "")).startswith("redis.")


class RedisLink:
    """Clients of one process: `text` decodes, `binary` does not, `blocking` may wait long for an answer."""

    def __init__(self, settings: RedisSettings) -> None:
        address = settings.address
        self.kind = address.kind
        """How Redis is run: `single`, `sentinel` or `cluster`."""
        self._limit_s = limit_s = settings.timeout_s
        self.text = make_client(address, timeout_s=limit_s, decode=True)
        self.binary = make_client(address, timeout_s=limit_s, decode=False)
        self.blocking = make_client(address, timeout_s=limit_s, decode=True)
        self._apart = make_client(address, timeout_s=limit_s, decode=True) if self.kind == "cluster" else None
        """For `run_many_apart`: whose connections nobody closes, as only its nodes are asked."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        for client in (self.text, self.binary, self.blocking):
            await close_client(client)
        if self._apart is not None:
            await close_nodes(self._apart)

    @contextlib.asynccontextmanager
    async def asking(self, what: str, *, waits_s: float = 0.0, limit_s: float | None = None) -> AsyncIterator[None]:
        """Give what is asked inside `REDIS_TIMEOUT_MS`, with all of redis-py's connecting and trying again.

        `limit_s` is a shorter limit.

        Anything that Redis or the network does wrong becomes RedisUnavailableError: nothing is known then. The message
        names the kind of error only, because the text of some of redis-py's errors holds the address.

        A cancellation inside is never lost: redis-py sends with `asyncio.wait_for`, which in Python 3.11 forgets one
        that comes in the turn in which it is done. It is raised here then, and that of the limit itself is repeated:
        a client that went on would ask sentinels for 20 seconds more, and a cluster for over a minute.
        """
        task = asyncio.current_task()
        assert task is not None
        cancels = task.cancelling()
        try:
            async with FirmTimeout(waits_s + (self._limit_s if limit_s is None else limit_s)):
                yield
            if task.cancelling() > cancels:
                raise asyncio.CancelledError
        except _AWAY as error:
            raise _away(what, error) from error
        except AttributeError as error:
            if not _is_of_redis_py(error):
                raise
            raise _away(what, error) from error

    @contextlib.asynccontextmanager
    async def waiting(self, what: str, *, waits_s: float) -> AsyncIterator[Any]:
        """Give the client for reads that wait up to `waits_s`, with the limit and the errors of `asking`."""
        async with self.asking(what, waits_s=waits_s):
            try:
                yield self.blocking
            except (*_AWAY, AttributeError, asyncio.CancelledError):
                if self.kind == "cluster":
                    # To find out which node has a stream, redis-py asks one that it chose once, also when that is dead.
                    await close_client(self.blocking)
                raise

    async def run(self, script: str, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        """Run `lua/{script}.lua`; what it takes and returns is in its header.

        Raises:
            RedisUnavailableError: it may or may not have run.
        """
        async with self.asking(f"run {script}"):
            return await self.text.register_script(_script_text(script))(keys=list(keys), args=list(args))

    async def run_binary(self, script: str, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        """The same with byte arguments."""
        async with self.asking(f"run {script}"):
            return await self.binary.register_script(_script_text(script))(keys=list(keys), args=list(args))

    async def together(self, what: str, *commands: Sequence[str | int]) -> None:
        """Run commands as one. The second word of each is its key, and all keys are in one slot.

        Not redis-py's transactions: on a cluster these run each command in a thread with an event loop of its own,
        while the process waits, and after a failure connect there what is then used here.

        Raises:
            RedisUnavailableError: all of them may or may not have run.
        """
        words = [word for command in commands for word in (len(command), *command)]
        async with self.asking(what):
            script = self.text.register_script(_script_text("together"))
            await script(keys=sorted({str(command[1]) for command in commands}), args=words)

    async def ask(self, what: str, commands: Sequence[Sequence[str | int]], calls: Sequence[Call] = ()) -> list[Any]:
        """Run commands, and then scripts, in one round trip (to each master of a cluster); results in that order.

        They do not run as one. Everything may run twice, so all of it must be safe to repeat.

        Raises:
            RedisUnavailableError: some may have run.
        """
        async with self.asking(what):
            try:
                return await self._ask(commands, calls)
            except NoScriptError:
                for script in {name for name, _, _ in calls}:
                    await self.text.script_load(_script_text(script))
                return await self._ask(commands, calls)

    async def _ask(self, commands: Sequence[Sequence[str | int]], calls: Sequence[Call]) -> list[Any]:
        pipe = self.text.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        for script, keys, args in calls:
            pipe.execute_command("EVALSHA", _script_sha(script), len(keys), *keys, *args)
        return list(await pipe.execute())

    async def run_many(self, script: str, calls: Sequence[tuple[Sequence[str], Sequence[str | int]]]) -> list[Any]:
        """Run one script for many sessions in one round trip (to each master of a cluster); results in that order.

        Raises:
            RedisUnavailableError: some may have run.
        """
        async with self.asking(f"run {script}"):
            if self.kind == "cluster":
                return await self._run_many_on_cluster(script, calls)
            pipe = self.text.pipeline(transaction=False)
            prepared = self.text.register_script(_script_text(script))
            for keys, args in calls:
                await prepared(keys=list(keys), args=list(args), client=pipe)
            return list(await pipe.execute())

    async def run_many_apart(
        self, script: str, calls: Sequence[tuple[Sequence[str], Sequence[str | int]]]
    ) -> list[Any | None]:
        """As `run_many`, but each master of a cluster answers for itself: None where one did not.

        On a cluster it first asks the masters that it knows over connections of its own: redis-py closes those of its
        clients to all masters whenever somebody finds one of them dead. What got no plain answer there (a dead master,
        a slot that has moved) is asked again as redis-py does it. All within `REDIS_TIMEOUT_MS`, as one call.

        Raises:
            RedisUnavailableError: nobody answered.
        """
        if self._apart is None:
            return await self.run_many(script, calls)
        deadline_mono_s = mono_s() + self._limit_s
        found = await self._run_apart(self._apart, script, calls)
        missing = [at for at in range(len(calls)) if at not in found]
        if missing:
            left_s = max(0.0, deadline_mono_s - mono_s())
            again, _ = await asyncio.gather(
                self._run_by_master(script, [calls[at] for at in missing], left_s),
                self._find_masters(self._apart, left_s),
                return_exceptions=True,
            )
            if isinstance(again, list):
                found.update(zip(missing, again, strict=True))
            elif not found or not isinstance(again, RedisUnavailableError):
                raise again
        return [found.get(at) for at in range(len(calls))]

    async def _run_apart(
        self, cluster: RedisCluster, script: str, calls: Sequence[tuple[Sequence[str], Sequence[str | int]]]
    ) -> dict[int, Any]:
        """Ask each master that is known over its own connections; return the plain answers, by position."""
        if not cluster.nodes_manager.slots_cache:
            with contextlib.suppress(RedisUnavailableError):
                await self._find_masters(cluster, self._limit_s / 4)
        parts: dict[str, tuple[ClusterNode, list[PipelineCommand]]] = {}
        for at, (keys, args) in enumerate(calls):
            node = None
            with contextlib.suppress(RedisClusterException):
                node = cluster.get_node_from_key(keys[0])
            if node is not None:  # else nothing is known of its slot
                command = PipelineCommand(at, "EVALSHA", _script_sha(script), len(keys), *keys, *args)
                parts.setdefault(node.name, (node, []))[1].append(command)
        found: dict[int, Any] = {}
        for answer in await asyncio.gather(
            *(self._run_part(cluster, script, node, part) for node, part in parts.values()), return_exceptions=True
        ):
            if isinstance(answer, dict):
                found.update(answer)
            elif not isinstance(answer, RedisUnavailableError):
                raise answer
        return found

    async def _run_part(
        self, cluster: RedisCluster, script: str, node: ClusterNode, part: list[PipelineCommand]
    ) -> dict[int, Any]:
        async with self.asking(f"run {script}", limit_s=self._limit_s / 2):
            await node.execute_pipeline(part)
            if any(isinstance(command.result, NoScriptError) for command in part):
                # A master that is new or was emptied; every script may be run twice.
                await node.execute_command("SCRIPT LOAD", _script_text(script))
                await node.execute_pipeline(part)
            for command in part:
                if isinstance(command.result, AskError):
                    # On its way to another master. redis-py would send the two over any two connections.
                    target = cluster.get_node(host=command.result.host, port=command.result.port)
                    if target is not None:
                        await target.execute_pipeline([PipelineCommand(command.position, "ASKING"), command])
        return {command.position: command.result for command in part if not isinstance(command.result, Exception)}

    async def _find_masters(self, cluster: RedisCluster, limit_s: float) -> None:
        """Learn anew which master has which slots. Where that fails, what was known before is kept."""
        async with self.asking("tell its masters", limit_s=limit_s):
            await cluster.nodes_manager.initialize()

    async def _run_by_master(
        self, script: str, calls: Sequence[tuple[Sequence[str], Sequence[str | int]]], limit_s: float
    ) -> list[Any | None]:
        deadline_mono_s = mono_s() + limit_s
        parts: dict[str, list[int]] = {}
        async with self.asking("tell its masters", limit_s=limit_s):
            await self.text.initialize()
            for at, (keys, _) in enumerate(calls):
                parts.setdefault(self.text.get_node_from_key(keys[0]).name, []).append(at)
        tasks = {
            asyncio.create_task(self.run_many(script, [calls[at] for at in part])): part for part in parts.values()
        }
        try:
            await asyncio.wait(tasks, timeout=max(0.0, deadline_mono_s - mono_s()))
        finally:
            await cancel_all(tasks)
        found: list[Any | None] = [None] * len(calls)
        faults: list[BaseException] = []
        for task, part in tasks.items():
            if task.cancelled():
                faults.append(RedisUnavailableError(f"Redis did not run {script}: no answer in time"))
            elif (fault := task.exception()) is not None:
                faults.append(fault)
            else:
                for at, one in zip(part, task.result(), strict=True):
                    found[at] = one
        for fault in faults:
            if not isinstance(fault, RedisUnavailableError) or len(faults) == len(tasks):
                raise fault
        return found

    async def _run_many_on_cluster(
        self, script: str, calls: Sequence[tuple[Sequence[str], Sequence[str | int]]]
    ) -> list[Any]:
        text = _script_text(script)
        try:
            return await self._send_many(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), calls)
        except NoScriptError:
            # A master that is new or was emptied; every script may be run twice.
            sha = await self.text.script_load(text)
            return await self._send_many(str(sha), calls)

    async def _send_many(self, sha: str, calls: Sequence[tuple[Sequence[str], Sequence[str | int]]]) -> list[Any]:
        pipe = self.text.pipeline(transaction=False)
        for keys, args in calls:
            pipe.execute_command("EVALSHA", sha, len(keys), *keys, *args)
        return list(await pipe.execute())

    async def server_ids(self) -> tuple[str, ...]:
        """Return the `run_id` of each master, in order.

        Raises:
            RedisUnavailableError: one of them does not answer.
        """
        async with self.asking("tell its id"):
            if self.kind == "cluster":
                told = await self.text.info("server", target_nodes=RedisCluster.PRIMARIES)
                # Of a cluster with one master redis-py gives the answer itself.
                answers = [told] if "run_id" in told else list(told.values())
                return tuple(sorted(str(answer["run_id"]) for answer in answers))
            return (str((await self.text.info("server"))["run_id"]),)

    async def ping_ms(self) -> float:
        """Return the round trip to Redis in milliseconds.

        Raises:
            RedisUnavailableError: no answer in time.
        """
        began = mono_s()
        async with self.asking("answer a ping"):
            await self.text.ping()
        return (mono_s() - began) * 1000
