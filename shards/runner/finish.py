"""The end of a run: close, last backup, and everything that says how it ended."""

import asyncio
import random
from dataclasses import dataclass
from datetime import timedelta

import structlog

from daemon.core.clock import utc_now
from daemon.core.errors import RedisUnavailableError
from daemon.registry.leases import Lease
from daemon.registry.tombstones import Tombstone
from daemon.sessions.events import EventKind
from daemon.sessions.states import SessionState
from shards.backup.copier import Copier
from shards.backup.keeper import BackupKeeper
from shards.context import ShardContext
from shards.page.told import Told
from shards.publisher import Publisher
from shards.restore.restorer import Restorer
from shards.runner.ending import LOGGED_OUT, OPENED_ELSEWHERE, Ending, retry_pause_s
from shards.runner.engine import SessionBrowser
from shards.runner.notes import SessionNotes

log = structlog.get_logger()

_WAIT_FOR_STORE_S = 4.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the phases after the lease share."""

    lease: Lease
    notes: SessionNotes
    publisher: Publisher
    restorer: Restorer
    copier: Copier
    backups: BackupKeeper
    browser: SessionBrowser


async def finish(shard: ShardContext, run: Run, ending: Ending) -> float:
    """Close what is open, store the last backup, and write how it ended.

    Returns:
        How many seconds to wait before the session may be run again.

    Raises:
        StaleTokenError, SessionNotFoundError: somebody else owns the record.
    """
    stored = await _close(shard, run, ending) if run.browser.is_open else False
    last = _last_word(run, ending)
    if last is not None:
        # A crash after the record says so would leave nobody to tell it.
        run.publisher.keep(last.kind, last.data, identity=last.identity)
    await run.notes.show_nothing()
    if ending.void:
        await _void(shard, run)
    if ending.void or (ending.leaves and (stored or not ending.backup)):
        # Nobody needs these files here any more, and they hold a login.
        remove = shard.layout.remove_profile
        await asyncio.get_running_loop().run_in_executor(shard.executor, remove, run.lease.session_id)
    pause_s = _pause_s(run, ending)
    fields: dict[str, object] = {"retry_at": utc_now() + timedelta(seconds=pause_s) if pause_s else None}
    if ending.failure:
        fields["failures"] = run.notes.record.failures + 1
    await run.notes.move(ending.status, reason=ending.reason, **fields)
    # After the state: whoever answers the event with a start must find a session that can be started.
    if last is not None:
        await run.publisher.tell(last.kind, last.data, identity=last.identity)
    return pause_s


async def _close(shard: ShardContext, run: Run, ending: Ending) -> bool:
    """Close Chromium and back up; True when every store took the backup."""
    await run.notes.move(SessionState.STOPPING, reason=ending.reason)
    overlay = await run.browser.last_overlay()
    if not ending.backup or overlay is None:
        await run.browser.close()
        return False
    # Before Chromium writes its last: from then on this disk has something newer than every store.
    await run.notes.write(unsaved=shard.identity.name)
    clean = await run.browser.close()
    stored = await run.backups.final(clean=clean, overlay=overlay)
    if stored:
        await run.notes.write(unsaved=None)
    return stored


async def _void(shard: ShardContext, run: Run) -> None:
    """WhatsApp ended this login: its copies are of no use to anybody and must never be restored."""
    record, token = run.notes.record, run.lease.token
    # The tombstone first: copies that are void and have none would never be removed by anybody.
    grave = Tombstone(session_id=record.session_id, workspace_id=record.workspace_id, void_token=token, at=utc_now())
    try:
        await shard.registry.tombstones.put(grave)
    except RedisUnavailableError as error:
        # The next start tries the copies once more, is refused by WhatsApp, and comes here again.
        log.error("the end of the login could not be written", code=error.code)
        return
    await run.notes.write(
        paired=False,
        scan_allowed=False,
        void_token=token,
        hot_copy=None,
        hot_copy_reason=None,
        archive=None,
        archive_begun=None,
        unsaved=None,
    )
    try:
        await shard.registry.copies.drop(record.session_id)
    except RedisUnavailableError as error:
        log.error("the hot copy of an ended login stays until it runs out; it is void", code=error.code)


def _last_word(run: Run, ending: Ending) -> Told | None:
    """Return what is told at the end of the run; to be asked before the record is changed by it."""
    if ending is OPENED_ELSEWHERE:
        return Told(kind=EventKind.CONFLICT, identity=f"run:{run.lease.token}", data={"reason": ending.reason})
    if ending.status is not SessionState.DISCONNECTED:
        return None
    # The same for a run that has to find it out once more after a crash, and another one after the next start.
    record = run.notes.record
    identity = f"{ending.reason}:{record.serial}:{record.void_token}"
    data = {"reason": ending.reason, "logged_out": ending is LOGGED_OUT}
    return Told(kind=EventKind.DISCONNECTED, identity=identity, data=data)


def _pause_s(run: Run, ending: Ending) -> float:
    if ending.waits:
        # Spread out, so that many sessions do not ask together when the store is back.
        return _WAIT_FOR_STORE_S * random.uniform(0.5, 1.5)
    return retry_pause_s(run.notes.record.failures + 1) if ending.failure else 0.0
