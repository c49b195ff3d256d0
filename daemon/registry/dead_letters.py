"""Dead letters: events that were given up, with endpoint, reason, tries and when; until they are sent again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from daemon.core.errors import DeadLetterNotFoundError, InvalidInputError
from daemon.registry import keys
from daemon.registry.link import RedisLink

DEAD_LETTERS_MAX = 100_000

_SCAN_MAX = 5000
_SCAN_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """One event that one endpoint did not get. `event` is its JSON as far as it can be read."""

    letter_id: str
    endpoint: str
    reason: str
    tries: int
    told_at: datetime
    buried_at: datetime
    event: Mapping[str, Any]

    @property
    def session_id(self) -> str:
        """The session; empty for an event that is not one session's."""
        return str(self.event.get("session_id") or "")


@dataclass(frozen=True, kw_only=True)
class LetterFilter:
    """Which dead letters; None: whichever."""

    endpoint: str | None = None
    session_id: str | None = None
    workspace_id: str | None = None
    event: str | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether it is one of those."""
        pairs = (
            (self.endpoint, letter.endpoint),
            (self.session_id, letter.session_id),
            (self.workspace_id, str(letter.event.get("workspace_id"))),
            (self.event, str(letter.event.get("event"))),
        )
        return all(wanted is None or wanted == given for wanted, given in pairs)


ANY_LETTER = LetterFilter()


@dataclass(frozen=True, kw_only=True)
class LetterPage:
    """Some dead letters, oldest first. It may be empty although more follow: `next_cursor` is None at the end only."""

    letters: Sequence[DeadLetter]
    next_cursor: str | None


def letter_fields(event: str, endpoint: str, reason: str, tries: int, told_ms: int) -> dict[str, str]:
    """Return what is stored of a dead letter."""
    return {"event": event, "endpoint": endpoint, "reason": reason, "tries": str(tries), "told": str(told_ms)}


class DeadLetters:
    """The dead letters in Redis. Every method raises RedisUnavailableError."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def page(
        self, wanted: LetterFilter = ANY_LETTER, *, cursor: str | None = None, limit: int = 100
    ) -> LetterPage:
        """Return up to `limit` of those that are there when the first page is read; looks at 5000 at most.

        Raises:
            InvalidInputError: the cursor is not one of ours.
        """
        position, last = _parsed_cursor(cursor) if cursor else ("-", await self._newest())
        found: list[DeadLetter] = []
        for _ in range(_SCAN_MAX // _SCAN_BATCH):
            async with self._link.asking("read dead letters"):
                batch = await self._link.text.xrange(keys.DEAD_LETTERS, min=position, max=last, count=_SCAN_BATCH)
            for entry_id, fields in batch:
                letter = _letter(entry_id, fields)
                if wanted.takes(letter):
                    found.append(letter)
                position = f"({entry_id}"
                if len(found) == limit:
                    break
            if len(found) == limit:
                break
            if len(batch) < _SCAN_BATCH:
                return LetterPage(letters=found, next_cursor=None)
        return LetterPage(letters=found, next_cursor=f"{position.removeprefix('(')}_{last}")

    async def get(self, letter_id: str) -> DeadLetter:
        """Return one.

        Raises:
            DeadLetterNotFoundError: it is not there, or not any more.
        """
        async with self._link.asking("read a dead letter"):
            found = await self._link.text.xrange(keys.DEAD_LETTERS, min=letter_id, max=letter_id)
        if not found:
            raise DeadLetterNotFoundError("no such dead letter", hint="list the dead letters")
        return _letter(*found[0])

    async def redrive(self, letters: Sequence[DeadLetter]) -> int:
        """Put each at the end of its session's queue at its endpoint, as told now; return how many were still there.

        They go in the order in which they were buried, whatever the order in which they are given.
        """
        calls = [
            (
                [
                    keys.DEAD_LETTERS,
                    keys.parked_queue(letter.endpoint, letter.session_id),
                    keys.parked_due(letter.endpoint),
                    keys.parked_oldest(letter.endpoint),
                    keys.EVENT_COUNTS,
                ],
                [letter.letter_id, letter.endpoint, letter.session_id],
            )
            for letter in sorted(letters, key=_place)
        ]
        return sum(int(moved) for moved in await self._link.run_many("redrive_event", calls)) if calls else 0

    async def delete(self, letter: DeadLetter) -> bool:
        """Remove one for good; False when it was gone."""
        arguments = [letter.letter_id, letter.endpoint]
        return bool(await self._link.run("drop_dead_letter", [keys.DEAD_LETTERS, keys.EVENT_COUNTS], arguments))

    async def _newest(self) -> str:
        async with self._link.asking("read dead letters"):
            found = await self._link.text.xrevrange(keys.DEAD_LETTERS, count=1)
        return str(found[0][0]) if found else "0-0"


def _parsed_cursor(cursor: str) -> tuple[str, str]:
    position, _, last = cursor.partition("_")
    for part in (position, last):
        ms, _, seq = part.partition("-")
        if not (ms.isdecimal() and seq.isdecimal() and part.isascii() and len(ms) < 18 and len(seq) < 18):
            raise InvalidInputError(
                "not a cursor of this list", hint="pass next_cursor as it was given", field="cursor"
            )
    return f"({position}", last


def _place(letter: DeadLetter) -> tuple[int, int]:
    ms, _, seq = letter.letter_id.partition("-")
    return int(ms), int(seq)


def _letter(entry_id: str, fields: Mapping[str, str]) -> DeadLetter:
    try:
        event = json.loads(fields["event"])
    except ValueError:
        event = {}
    return DeadLetter(
        letter_id=entry_id,
        endpoint=fields["endpoint"],
        reason=fields["reason"],
        tries=int(fields["tries"]),
        told_at=_at(fields["told"]),
        buried_at=_at(entry_id.partition("-")[0]),
        event=event if isinstance(event, dict) else {},
    )


def _at(ms: str) -> datetime:
    return datetime.fromtimestamp(int(ms) / 1000, UTC)
