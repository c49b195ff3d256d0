"""What is known of a message by its Idempotency-Key: the right to try it, and what is certain when it fails.

Whoever refuses a message asks here before it is called "not sent": an earlier try under the same key may have gone out.
"""

import structlog

from daemon.core.errors import (
    BlazzError,
    IdempotencyKeyReusedError,
    RedisUnavailableError,
    SendInProgressError,
)
from daemon.registry.epoch import Epoch
from daemon.registry.registry import Registry
from daemon.registry.sends import Begun
from daemon.sessions.sends import SendFacts, SendState, Ticket, key_digest, message_id_of

log = structlog.get_logger()

_HOLD_MARGIN_S = 5.0
_SAME_KEY = "it may have gone out: ask again with the same Idempotency-Key, which cannot double it"


class IdempotencyKeys:
    """The keys of all sessions."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def begin(
        self, session_id: str, key: str, asked: str, *, wait_s: float, epoch: Epoch | None
    ) -> Ticket | SendFacts:
        """Return the right to try for `wait_s`; or, when the message went out before, what is known of it.

        `asked` is the fingerprint of the message, `epoch` that of the look at the session, if it told it.

        Raises:
            SendInProgressError: another request tries it right now.
            IdempotencyKeyReusedError: the key belongs to another message.
            RedisUnavailableError: nothing may be sent.
        """
        digest = key_digest(key)
        begun = await self._registry.sends.begin(
            session_id,
            digest,
            asked,
            message_id_of(session_id, digest, asked),
            hold_ms=round((wait_s + _HOLD_MARGIN_S) * 1000),
            doubtful=self._registry.sends.forgets(epoch or await self._registry.epochs.read()),
            noted=epoch is not None,
        )
        if begun.said is Begun.OTHER:
            raise IdempotencyKeyReusedError(
                "this Idempotency-Key was used for another message", hint="use a new key for each message"
            )
        known = begun.ticket or begun.facts
        if known is None:
            busy = SendInProgressError(
                "another request with this Idempotency-Key sends the message right now",
                hint=_SAME_KEY,
                session_id=session_id,
                outcome=SendState.UNKNOWN,
            )
            busy.retry_after_s = max(1.0, min(begun.wait_ms / 1000, 5.0))
            raise busy
        return known

    async def facts(self, session_id: str, key: str) -> SendFacts | None:
        """Return what is known of a key; None only if it was certainly not used while keys are remembered.

        Raises:
            RedisUnavailableError: nothing is known.
        """
        facts = await self._registry.sends.get(session_id, key_digest(key))
        if facts is None and self._registry.sends.forgets(await self._registry.epochs.read()):
            return SendFacts(state=SendState.UNKNOWN, message_id=None)
        return facts

    async def refused(self, session_id: str, key: str | None, error: BlazzError) -> None:
        """Put into the error what is certain of a message that was not tried now, unless it knows that itself."""
        if "outcome" not in error.ids:
            error.ids["outcome"] = await self._known_before(session_id, key, error)

    async def _known_before(self, session_id: str, key: str | None, error: BlazzError) -> SendState:
        if key is None or isinstance(error, IdempotencyKeyReusedError):
            return SendState.NOT_SENT
        try:
            facts = await self.facts(session_id, key)
        except RedisUnavailableError:
            return SendState.UNKNOWN
        return SendState.NOT_SENT if facts is None or facts.state is SendState.NOT_SENT else SendState.UNKNOWN

    async def failed(self, session_id: str, message_id: str, ticket: Ticket | None, error: BlazzError) -> None:
        """Put into the error what is certain of a message that was tried now, and write it under the key."""
        outcome = SendState(error.ids.get("outcome", SendState.NOT_SENT))
        if ticket is not None and ticket.doubtful and outcome is SendState.NOT_SENT:
            # This try did not send it; an earlier one may have.
            outcome = SendState.UNKNOWN
        error.ids["outcome"] = outcome
        if outcome is SendState.UNKNOWN:
            error.ids.setdefault("message_id", message_id)
            if ticket is not None:
                error.hint = _SAME_KEY
        await self.settle(session_id, ticket, SendFacts(state=outcome, message_id=message_id, code=error.code))

    async def settle(self, session_id: str, ticket: Ticket | None, facts: SendFacts) -> None:
        """Write under the key, if there is one, how the try ended; without Redis it stays unknown."""
        if ticket is None:
            return
        try:
            await self._registry.sends.settle(session_id, ticket, facts)
        except RedisUnavailableError:
            log.warning("the outcome of a send is not noted under its key", session_id=session_id, outcome=facts.state)
