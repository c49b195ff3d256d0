"""The connection to Redis: three clients for three needs, scripts, and one place that translates errors."""

import contextlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from daemon.core.clock import mono_s
from daemon.core.errors import RedisUnavailableError
from daemon.core.sections import RedisSettings

_LUA = Path(__file__).parent / "lua"


@contextlib.contextmanager
def redis_errors(what: str) -> Iterator[None]:
    """Turn anything that Redis or the network does wrong into RedisUnavailableError: nothing is known then.

    The message names the kind of error only, because the text of some of redis-py's errors holds the address.
    """
    try:
        yield
    except (RedisError, OSError) as error:
        raise RedisUnavailableError(
            f"Redis did not {what}: {type(error).__name__}",
            hint="check that Redis runs and REDIS_URL is right; nothing was lost, it is tried again",
        ) from error


@cache
def _script_text(name: str) -> str:
    return (_LUA / f"{name}.lua").read_text()


class RedisLink:
    """Clients of one process: `text` decodes, `binary` does not, `blocking` may wait long for an answer."""

    def __init__(self, settings: RedisSettings) -> None:
        retry = Retry(ExponentialBackoff(cap=0.2, base=0.02), retries=2)
        url = settings.url.get_secret_value()
        common: dict[str, Any] = {
            "socket_connect_timeout": settings.timeout_s,
            "retry": retry,
            "health_check_interval": 15,
        }
        timeout_s = settings.timeout_s
        # Any: redis-py types every answer as `bytes | str`, whatever decode_responses says.
        self.text: Any = Redis.from_url(url, decode_responses=True, socket_timeout=timeout_s, **common)
        self.binary: Any = Redis.from_url(url, decode_responses=False, socket_timeout=timeout_s, **common)
        self.blocking: Any = Redis.from_url(url, decode_responses=True, socket_timeout=None, **common)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        for client in (self.text, self.binary, self.blocking):
            await client.aclose()

    async def run(self, script: str, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        """Run `lua/{script}.lua`; what it takes and returns is in its header.

        Raises:
            RedisUnavailableError: it may or may not have run.
        """
        with redis_errors(f"run {script}"):
            return await self.text.register_script(_script_text(script))(keys=list(keys), args=list(args))

    async def run_binary(self, script: str, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        """The same with byte arguments."""
        with redis_errors(f"run {script}"):
            return await self.binary.register_script(_script_text(script))(keys=list(keys), args=list(args))

    async def run_many(self, script: str, calls: Sequence[tuple[Sequence[str], Sequence[str | int]]]) -> list[Any]:
        """Run one script for many sessions in one round trip; results in the same order."""
        with redis_errors(f"run {script}"):
            pipe = self.text.pipeline(transaction=False)
            prepared = self.text.register_script(_script_text(script))
            for keys, args in calls:
                await prepared(keys=list(keys), args=list(args), client=pipe)
            return list(await pipe.execute())

    @property
    def kind(self) -> str:
        """How Redis is run: `single`."""
        return "single"

    async def server_ids(self) -> tuple[str, ...]:
        """Return the `run_id` of each server."""
        with redis_errors("tell its id"):
            return (str((await self.text.info("server"))["run_id"]),)

    async def ping_ms(self) -> float:
        """Return the round trip to Redis in milliseconds.

        Raises:
            RedisUnavailableError: no answer in time.
        """
        began = mono_s()
        with redis_errors("answer a ping"):
            await self.text.ping()
        return (mono_s() - began) * 1000
