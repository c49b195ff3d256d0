"""What the runner writes down of its session: the record's fields and the code on display.

Redis may be away for a while and the session goes on; what could not be written is kept here and written at the next
look. A newer holder's token refuses everything: then the runner must end.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from daemon.core.clock import utc_now
from daemon.core.errors import RedisUnavailableError
from daemon.registry.leases import Lease
from daemon.registry.registry import Registry
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import SessionState, check_transition
from daemon.sessions.summary import Summary

log = structlog.get_logger()

_TOUCH_INTERVAL = timedelta(minutes=1)


class SessionNotes:
    """The runner's own view of the record, and its way into Redis."""

    def __init__(self, registry: Registry, record: SessionRecord, lease: Lease) -> None:
        self._registry = registry
        self._lease = lease
        self._unwritten: dict[str, object] = {}
        self._shown: str | None = None
        self._told: str | None = None
        self._lost = False
        self._fell_back_to: tuple[SessionState, datetime] | None = None
        self.record = record
        self.written_token = 0
        """Our token, once the record in Redis has it."""

    def lost(self) -> None:
        """Note that Redis lost what it knew of the session: all of it is written again at the next flush."""
        self._lost = True
        self._shown = None
        self.record = replace(self.record, hot_copy=None, moving_from=None)

    def fell_back(self, found: Summary) -> bool:
        """Whether Redis says what this run has long changed: it fell back to a dump of an earlier moment of this run.

        The token tells nothing then. `found` may be older than a write of a moment ago: it counts when it is seen
        twice with nothing written between.
        """
        differs = found.token == self.written_token and found.status is not self.record.status
        seen = (found.status, self.record.status_at) if differs and not self._unwritten else None
        twice, self._fell_back_to = seen is not None and seen == self._fell_back_to, seen
        return twice

    async def write(self, **fields: object) -> None:
        """Change fields of the record, now or as soon as Redis answers.

        Raises:
            StaleTokenError: another holder exists.
            SessionNotFoundError: the session was deleted.
        """
        self.record = replace(self.record, **fields)  # type: ignore[arg-type]  # checked by the dataclass' users
        self._unwritten |= fields
        await self.flush()

    async def move(self, status: SessionState, *, reason: str | None = None, **fields: object) -> None:
        """Change the state, with other fields; logs one line."""
        if (status, reason) != (self.record.status, self.record.reason):
            check_transition(self.record.status, status)
            log.info("session state", before=self.record.status, status=status, reason=reason)
            fields |= {"status": status, "status_at": utc_now(), "reason": reason}
        await self.write(**fields)

    async def flush(self) -> bool:
        """Write what is not written yet; False when Redis does not answer."""
        if not self._unwritten and not self._lost:
            return True
        fields = dict(self._unwritten)
        try:
            if self._lost:
                await self._registry.records.regain(self.record, self._lease.token)
                self._lost = False
                log.info("session record written again: Redis had lost it", token=self._lease.token)
            if fields:
                await self._registry.records.write_held(self._lease.session_id, self._lease.token, fields)
            if "token" in fields:
                self.written_token = self._lease.token
        except RedisUnavailableError as error:
            log.warning("session state not written yet", code=error.code, fields=sorted(fields))
            return False
        self._unwritten = {name: value for name, value in self._unwritten.items() if fields.get(name) is not value}
        return True

    async def show_qr(self, text: str) -> bool:
        """Put a QR code on display; True when it is one that was not on display before."""
        if text == self._shown:
            return False
        try:
            await self._registry.codes.show_qr(self._lease.session_id, self._lease.token, text)
        except RedisUnavailableError:
            return False  # shown at the next look
        self._shown = text
        fresh, self._told = text != self._told, text
        return fresh

    async def touch(self) -> None:
        """Note that something happens in this session; written at most once a minute."""
        now, before = utc_now(), self.record.active_at
        if before is None or abs(now - before) >= _TOUCH_INTERVAL:
            await self.write(active_at=now)

    async def show_pairing_code(self, code: str, phone: str) -> None:
        """Put a pairing code on display instead of a QR code."""
        await self._registry.codes.show_pairing_code(self._lease.session_id, self._lease.token, code, phone)
        self._shown = code

    async def show_nothing(self, *, always: bool = False) -> None:
        """Take our code off the display, or, with `always`, whatever an earlier holder left there.

        One that cannot be taken off runs out by itself.
        """
        if self._shown is None and not always:
            return
        self._shown = None
        try:
            await self._registry.codes.clear(self._lease.session_id, self._lease.token)
        except RedisUnavailableError as error:
            log.warning("code not cleared, it runs out by itself", code=error.code)
