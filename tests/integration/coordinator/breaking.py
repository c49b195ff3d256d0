"""A registry whose connection breaks after so many calls: what is left is what a coordinator that dies there leaves."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.exceptions import ConnectionError as GoneError

from daemon.registry.link import RedisLink


class Calls:
    """How many calls are left before all further ones fail."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self) -> None:
        """Count one call.

        Raises:
            GoneError: there are none left.
        """
        if self.left <= 0:
            raise GoneError("the test says so")
        self.left -= 1


class _Breaking:
    """A client, or a pipeline, whose calls are counted; what is only queued in a pipeline is not."""

    def __init__(self, inner: Any, calls: Calls, *, queue: bool = False) -> None:
        self._inner = inner
        self._calls = calls
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name == "pipeline":
            return lambda **options: _Breaking(method(**options), self._calls, queue=True)
        if name == "register_script":
            return lambda text: _Script(method(text), self._calls)
        if not callable(method) or (self._queue and name != "execute"):
            return method

        async def counted(*args: Any, **options: Any) -> Any:
            self._calls.take()
            return await method(*args, **options)

        return counted


class _Script:
    def __init__(self, script: Any, calls: Calls) -> None:
        self._script = script
        self._calls = calls

    async def __call__(self, *, keys: Any, args: Any, client: Any = None) -> Any:
        if client is not None:
            return await self._script(keys=keys, args=args, client=client._inner)
        self._calls.take()
        return await self._script(keys=keys, args=args)


@contextmanager
def breaking(link: RedisLink, calls: Calls) -> Iterator[None]:
    """Count the calls of a link while in this block."""
    whole = link.text
    link.text = _Breaking(whole, calls)
    try:
        yield
    finally:
        link.text = whole
