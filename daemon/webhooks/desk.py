"""What operators ask of the webhooks, at any coordinator: how endpoints do, dead letters, resuming, a test event.

All of it goes through Redis, where the leading coordinator finds it; only the test event is posted from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from daemon.core.clock import mono_s, parse_iso, utc_now
from daemon.core.errors import DeadLetterNotFoundError, EndpointNotFoundError
from daemon.core.ids import new_id
from daemon.registry.dead_letters import DeadLetter, DeadLetters, LetterFilter, LetterPage
from daemon.registry.outbox import EndpointCounts, Outbox
from daemon.webhooks.body import TEST_EVENT, body_of_test
from daemon.webhooks.configured import Configured, EndpointConfig
from daemon.webhooks.endpoint import Endpoint

_REDRIVE_AT_ONCE = 1000
_NO_COUNTS = EndpointCounts()


class EndpointState(StrEnum):
    """How an endpoint does."""

    WORKING = "working"
    FAILING = "failing"
    PAUSED = "paused"


@dataclass(frozen=True, kw_only=True)
class SeenEndpoint:
    """One endpoint as operators see it. `events` and `workspaces` are None for all."""

    name: str
    host: str
    events: Sequence[str] | None
    workspaces: Sequence[str] | None
    state: EndpointState
    error: str | None
    """Why it fails or is paused."""
    paused_at: datetime | None
    counts: EndpointCounts = field(default_factory=EndpointCounts)

    @property
    def oldest_waiting_at(self) -> datetime | None:
        """When the oldest event that waits was told."""
        told_ms = self.counts.oldest_told_ms
        return None if told_ms is None else datetime.fromtimestamp(told_ms / 1000, UTC)


@dataclass(frozen=True, kw_only=True)
class Redriven:
    """What came of sending dead letters again; more may follow at `next_cursor`."""

    redriven: int
    skipped: int
    """Those that were gone, or whose endpoint is configured no more."""
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class TriedOut:
    """What the receiver said to a test event. `status` is None when it said nothing."""

    taken: bool
    status: int | None
    error: str | None
    took_ms: float


class WebhookDesk:
    """The webhooks as the API shows them. Every method raises RedisUnavailableError."""

    def __init__(self, outbox: Outbox, letters: DeadLetters, configured: Configured, *, timeout_s: float) -> None:
        self._outbox = outbox
        self._letters = letters
        self._configured = configured
        self._timeout_s = timeout_s

    async def endpoints(self) -> list[SeenEndpoint]:
        """Return the configured endpoints by name."""
        counts, said = (await self._outbox.counts()).endpoints, await self._outbox.said()
        paused = await self._outbox.paused()
        return [
            _seen(config, counts.get(config.name), said.get(config.name, {}), paused.get(config.name))
            for config in self._configured.current()
        ]

    async def dead(self, wanted: LetterFilter, *, cursor: str | None, limit: int) -> LetterPage:
        """Return a page of dead letters, oldest first."""
        return await self._letters.page(wanted, cursor=cursor, limit=limit)

    async def letter(self, letter_id: str) -> DeadLetter:
        """Return one dead letter.

        Raises:
            DeadLetterNotFoundError: it is not there.
        """
        return await self._letters.get(letter_id)

    async def redrive(self, letter_ids: Sequence[str]) -> Redriven:
        """Send some dead letters again."""
        found = []
        for letter_id in letter_ids:
            try:
                found.append(await self._letters.get(letter_id))
            except DeadLetterNotFoundError:
                continue
        redriven = await self._redrive(found)
        return Redriven(redriven=redriven, skipped=len(letter_ids) - redriven, next_cursor=None)

    async def redrive_all(self, wanted: LetterFilter, *, cursor: str | None) -> Redriven:
        """Send the next of these dead letters again; those that die while that goes on are not among them."""
        page = await self._letters.page(wanted, cursor=cursor, limit=_REDRIVE_AT_ONCE)
        redriven = await self._redrive(page.letters)
        return Redriven(redriven=redriven, skipped=len(page.letters) - redriven, next_cursor=page.next_cursor)

    async def delete(self, letter_id: str) -> None:
        """Remove a dead letter for good.

        Raises:
            DeadLetterNotFoundError: it is not there.
        """
        await self._letters.delete(await self._letters.get(letter_id))

    async def resume(self, name: str) -> SeenEndpoint:
        """End an endpoint's pause; the leader notices within a second.

        Raises:
            EndpointNotFoundError: there is none of this name.
        """
        self._config(name)
        await self._outbox.resume(name)
        return next(one for one in await self.endpoints() if one.name == name)

    async def test(self, name: str) -> TriedOut:
        """Post a signed event `test`, once, beside everything that waits.

        Raises:
            EndpointNotFoundError: there is none of this name.
        """
        config, began_mono_s, event_id = self._config(name), mono_s(), new_id("evt")
        async with Endpoint(config, timeout_s=self._timeout_s) as endpoint:
            answer = await endpoint.send(event_id, TEST_EVENT, body_of_test(event_id, utc_now(), config.name))
        return TriedOut(
            taken=answer.failure is None,
            status=answer.status or None,
            error=answer.failure,
            took_ms=round((mono_s() - began_mono_s) * 1000, 1),
        )

    def _config(self, name: str) -> EndpointConfig:
        for config in self._configured.current():
            if config.name == name:
                return config
        raise EndpointNotFoundError("no such webhook endpoint", hint="list the endpoints", endpoint=name)

    async def _redrive(self, letters: Sequence[DeadLetter]) -> int:
        known = {config.name for config in self._configured.current()}
        return await self._letters.redrive([letter for letter in letters if letter.endpoint in known])


def _seen(
    config: EndpointConfig, counts: EndpointCounts | None, said: dict[str, object], paused: dict[str, str] | None
) -> SeenEndpoint:
    # What was said or decided about another address of the same name is not true of this one.
    said = said if said.get("url_digest") == config.url_digest else {}
    paused = paused if paused and paused.get("url_digest") == config.url_digest else None
    state = EndpointState.FAILING if said.get("failing") else EndpointState.WORKING
    error = said.get("error")
    return SeenEndpoint(
        name=config.name,
        host=config.host,
        events=None if config.events is None else sorted(kind.value for kind in config.events),
        workspaces=None if config.workspaces is None else sorted(config.workspaces),
        state=EndpointState.PAUSED if paused else state,
        error=paused["reason"] if paused else (str(error) if error else None),
        paused_at=parse_iso(paused["at"]) if paused else None,
        counts=counts or _NO_COUNTS,
    )
