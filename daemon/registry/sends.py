"""Messages that were asked to be sent under an idempotency key: who may try, and how it ended.

A key has no TTL, or a Redis that is full would drop it. Expired ones are removed when another key of the session is
begun, and by `sweep`, which finds the sessions in `wa:senders`: a deleted session's keys outlive it for as long as any.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from daemon.core.ids import new_id
from daemon.registry import keys
from daemon.registry.epoch import Epoch
from daemon.registry.link import Call, RedisLink
from daemon.sessions.sends import SendFacts, SendState, Ticket

_EXPIRED_MAX = 100
"""How many a begin takes along."""
_NOTED_FOR_MS = 180_000
"""More than two calls may take: between noting a session as a sender and writing its key nobody strikes it off."""
_SWEEP_SESSIONS = 100
_SWEEP_KEYS = 1000
_LOOK_AGAIN_MS = 600_000


class Begun(StrEnum):
    """What asking for the right to try said."""

    TRY = "try"
    SENT = "sent"
    """It went out before; nothing is to be done."""
    BUSY = "busy"
    """Another request tries it right now."""
    OTHER = "other"
    """The key was used for another message."""


@dataclass(frozen=True, kw_only=True)
class Begin:
    """The answer: with a ticket for `TRY`, with the facts for `SENT`, with `wait_ms` for `BUSY`."""

    said: Begun
    ticket: Ticket | None = None
    facts: SendFacts | None = None
    wait_ms: int = 0


class Sends:
    """Idempotency keys in Redis, remembered for `keep_ms`."""

    def __init__(self, link: RedisLink, *, keep_ms: int) -> None:
        self._link = link
        self._keep_ms = keep_ms

    async def begin(
        self,
        session_id: str,
        key: str,
        asked: str,
        message_id: str,
        *,
        hold_ms: int,
        doubtful: bool = False,
        noted: bool = False,
    ) -> Begin:
        """Get the right to try. `key` is a digest, `asked` the fingerprint, `hold_ms` how long a try may take.

        A try that nobody settled in `hold_ms` may be repeated: nobody knows what became of it. `doubtful` says that
        a key that is not known may have been lost, as `forgets` tells; `noted` that `note` was run a moment ago.

        Raises:
            RedisUnavailableError: nothing may be sent; the key may be held for `hold_ms`.
        """
        attempt = new_id("try")
        # First: a session without keys is found and struck off, a key of a session that is not noted never would be.
        if not noted:
            await self._link.run(*self.note(session_id))
        answer = await self._link.run(
            "begin_send",
            [keys.send(session_id, key), keys.sends(session_id)],
            [
                asked,
                message_id,
                attempt,
                hold_ms,
                self._keep_ms,
                "1" if doubtful else "0",
                key,
                keys.send(session_id, ""),
                _EXPIRED_MAX,
            ],
        )
        said, known = str(answer[0]), _fields(answer[1])
        match said:
            case "other":
                return Begin(said=Begun.OTHER)
            case "sent":
                return Begin(said=Begun.SENT, facts=_facts(known))
            case "busy":
                return Begin(said=Begun.BUSY, wait_ms=int(answer[2]))
        ticket = Ticket(key=key, attempt=attempt, message_id=known["message_id"], doubtful=known["doubtful"] == "1")
        return Begin(said=Begun.TRY, ticket=ticket)

    def note(self, session_id: str) -> Call:
        """Return what notes a session as one that is about to have a key. Safe to repeat, and for nothing."""
        return "note_sender", [keys.SENDERS], [session_id, self._keep_ms, _NOTED_FOR_MS]

    def forgets(self, epoch: Epoch) -> bool:
        """Whether a key that is not known may have been used all the same: Redis may have lost it since."""
        return epoch.lost and epoch.age_ms < self._keep_ms

    async def settle(self, session_id: str, ticket: Ticket, facts: SendFacts) -> None:
        """Write how the try ended; one that is no longer the newest changes nothing unless it was sent.

        Raises:
            RedisUnavailableError: it stays pending and then counts as unknown.
        """
        told = {"sent_id": facts.sent_id, "ack": facts.ack, "timestamp": facts.timestamp, "code": facts.code}
        given: list[str | int] = []
        for name, value in told.items():
            if value is not None:
                given += [name, value]
        await self._link.run(
            "settle_send",
            [keys.send(session_id, ticket.key), keys.sends(session_id)],
            [ticket.attempt, facts.state, self._keep_ms, ticket.key, *given],
        )

    async def get(self, session_id: str, key: str) -> SendFacts | None:
        """Return what is known of a key (its digest), None when nothing is remembered."""
        known = _fields(await self._link.run("read_send", [keys.send(session_id, key), keys.sends(session_id)], [key]))
        return _facts(known) if known else None

    async def sweep(self) -> bool:
        """Remove expired keys of a bounded number of sessions; False when none was due. Safe to repeat.

        Raises:
            RedisUnavailableError: what was not removed is still due.
        """
        found = await self._link.run("due_senders", [keys.SENDERS], [_SWEEP_SESSIONS])
        due = dict(zip(found[::2], found[1::2], strict=True))
        if not due:
            return False
        left_ms = await self._link.run_many(
            "sweep_sends", [([keys.sends(each)], [keys.send(each, ""), _SWEEP_KEYS]) for each in due]
        )
        seen = [part for each, left in zip(due.items(), left_ms, strict=True) for part in (*each, int(left))]
        await self._link.run("note_swept", [keys.SENDERS], [_LOOK_AGAIN_MS, *seen])
        return True


def _fields(flat: Any) -> dict[str, str]:
    if isinstance(flat, dict):
        return flat
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _facts(known: dict[str, str]) -> SendFacts:
    return SendFacts(
        state=SendState(known["state"]),
        message_id=known["message_id"],
        sent_id=known.get("sent_id"),
        ack=int(known["ack"]) if "ack" in known else None,
        timestamp=int(known["timestamp"]) if "timestamp" in known else None,
        code=known.get("code"),
    )
