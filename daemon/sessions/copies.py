"""Which copies of a session may be restored: not those of a login that was ended, nor those that a rollback set aside.

Pure. `order` is `(token, generation)`, which orders all copies of one session.
"""

from daemon.sessions.record import SessionRecord

Order = tuple[int, int]


def is_void(record: SessionRecord, order: Order) -> bool:
    """Whether a copy belongs to a login that was ended on purpose, and must never be restored.

    Token 0 is that of archives that another service left; they are void once any login was ended.
    """
    return record.void_token > 0 and order[0] <= record.void_token


def is_set_aside(record: SessionRecord, order: Order) -> bool:
    """Whether a rollback passed over this copy: it is newer than the chosen one and older than the rollback."""
    chosen = record.rollback
    return chosen is not None and order > chosen.order and order[0] <= chosen.until_token


def may_restore(record: SessionRecord, order: Order) -> bool:
    """Whether the next start may restore this copy."""
    return not is_void(record, order) and not is_set_aside(record, order)


def awaits_rollback(record: SessionRecord) -> bool:
    """Whether nothing newer than the last rollback is known to be stored: what is chosen is still the newest."""
    chosen = record.rollback
    if chosen is None:
        return False
    stored = [facts.token for facts in (record.hot_copy, record.archive) if facts is not None]
    return max(stored, default=0) <= chosen.until_token
