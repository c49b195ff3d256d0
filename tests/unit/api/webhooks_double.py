"""Webhooks, the feed and stored copies in memory: there are none, for what the HTTP side itself decides."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from daemon.coordinator.copies import ArchivePage
from daemon.core.errors import ArchiveNotFoundError, DeadLetterNotFoundError, EndpointNotFoundError
from daemon.registry.dead_letters import DeadLetter, LetterFilter, LetterPage
from daemon.registry.event_log import Logged
from daemon.sessions.record import SessionRecord
from daemon.webhooks.desk import Redriven, SeenEndpoint, TriedOut


class WebhooksDouble:
    """No endpoints and no dead letters."""

    async def endpoints(self) -> Sequence[SeenEndpoint]:
        return []

    async def dead(self, wanted: LetterFilter, *, cursor: str | None, limit: int) -> LetterPage:
        return LetterPage(letters=(), next_cursor=None)

    async def letter(self, letter_id: str) -> DeadLetter:
        raise DeadLetterNotFoundError("no such dead letter")

    async def redrive(self, letter_ids: Sequence[str]) -> Redriven:
        return Redriven(redriven=0, skipped=len(letter_ids), next_cursor=None)

    async def redrive_all(self, wanted: LetterFilter, *, cursor: str | None) -> Redriven:
        return Redriven(redriven=0, skipped=0, next_cursor=None)

    async def delete(self, letter_id: str) -> None:
        raise DeadLetterNotFoundError("no such dead letter")

    async def resume(self, name: str) -> SeenEndpoint:
        raise EndpointNotFoundError("no such endpoint")

    async def test(self, name: str) -> TriedOut:
        raise EndpointNotFoundError("no such endpoint")


@dataclass
class _Follower:
    last_id: str = "0-0"
    gap: bool = False


class FeedDouble:
    """A feed that is at its end."""

    @contextlib.asynccontextmanager
    async def follow(self, last_id: str | None, *, token_id: str | None) -> AsyncIterator[_Follower]:
        yield _Follower()

    async def next(self, follower: object) -> Sequence[Logged] | None:
        return None


class CopiesDouble:
    """No archives."""

    async def archives(self, record: SessionRecord, *, cursor: str | None, limit: int) -> ArchivePage:
        return ArchivePage(archives=(), next_cursor=None)

    async def roll_back(self, record: SessionRecord, *, generation: int, token: int | None) -> SessionRecord:
        raise ArchiveNotFoundError("no such archive")

    async def restore(self, record: SessionRecord) -> SessionRecord:
        return record
