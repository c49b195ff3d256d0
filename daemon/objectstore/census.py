"""The census: which sessions the bucket knows, for when Redis does not.

One listing of the whole bucket, a HEAD for the newest archive of each session (only it tells the user), a GET for each
mark. What is in memory grows with the names of the sessions only. Reads; never writes.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from daemon.objectstore.archives import Archives
from daemon.sessions.known import KnownSession


@dataclass(frozen=True, kw_only=True)
class CensusTally:
    """How far a census is. `skipped`: objects that are nobody's archive or mark; `unreadable`: marks."""

    objects: int = 0
    sessions: int = 0
    marks: int = 0
    unreadable: int = 0
    skipped: int = 0


Progress = Callable[[CensusTally], None]


async def census(
    archives: Archives, *, legacy_prefix: str = "", parallel: int = 8, progress: Progress | None = None
) -> AsyncGenerator[KnownSession, None]:
    """Yield each session that has an archive or a mark, once.

    The same session id may come with several workspaces. `parallel` requests are under way at once, as far as the
    executor of `archives` has threads; `progress` is told after each session.

    Raises:
        ObjectStoreUnavailableError, ObjectStoreRefusedError: what was not yielded yet is not known.
    """
    raise NotImplementedError
    yield
