"""The session record: everything the registry knows of one session, as one frozen value.

The registry reads and writes it; coordinator, API and shards only look at it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from daemon.sessions.states import Desired, SessionState


@dataclass(frozen=True, kw_only=True)
class CopyFacts:
    """What is known of one stored copy of a session's profile (hot copy in Redis, or archive in R2)."""

    at: datetime
    size_bytes: int
    token: int
    generation: int
    clean: bool
    content_digest: str
    """SHA-256 over the paths and digests of the files: equal for equal content, whatever token and generation."""
    key: str | None = None
    """The object name of an archive; None for a hot copy."""
    key_id: str | None = None
    """The id of the key that it is encrypted with; None when it is not."""

    @property
    def order(self) -> tuple[int, int]:
        """The pair that orders all copies of one session; the highest is the newest."""
        return (self.token, self.generation)


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """The archive that was chosen to go back to, and up to which token everything newer is set aside."""

    token: int
    generation: int
    until_token: int
    """The highest token when it was asked for: whoever takes a later one knows of it."""

    @property
    def order(self) -> tuple[int, int]:
        """The chosen copy."""
        return (self.token, self.generation)


@dataclass(frozen=True, kw_only=True)
class SessionRecord:
    """One session. Times are UTC; `phone` is digits without `+`."""

    session_id: str
    workspace_id: str
    user_id: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime
    desired: Desired = Desired.RUNNING
    serial: int = 0
    """Grows with every explicit start and restart: a runner that began under an older serial begins again."""
    status: SessionState = SessionState.PENDING
    status_at: datetime
    reason: str | None = None
    """Why it is in this state, as a stable word such as `logged_out`, `nothing_to_restore`, `browser_failed`."""
    retry_at: datetime | None = None
    failures: int = 0
    """Failed starts in a row; the pause before the next one grows with it."""
    shard: str | None = None
    """The placement: which shard should run it."""
    moving_from: str | None = None
    """The shard that is handing it over to `shard` on purpose (a drain, a rebalance), until it is up there."""
    runs_on: str | None = None
    """The shard whose process wrote the state last."""
    active_at: datetime | None = None
    """When something last happened in it (a message, a login), to within a minute: the most active start first."""
    token: int = 0
    """Fencing token of the last lease taken."""
    phone: str | None = None
    pushname: str | None = None
    paired: bool = False
    """A phone has linked this session, and has not logged it out."""
    scan_allowed: bool = True
    """Whether a QR code may be shown: true for a new session and after an explicit start, false once paired."""
    void_token: int = 0
    """Copies with this token or a lower one belong to a login that was ended on purpose, and are never restored."""
    rollback: Rollback | None = None
    """The last rollback. It stays: copies of a later token are newer, those in between are never restored again."""
    marked: str | None = None
    """What the mark beside its archives says of this record's wish, as `mark_text` has it; None: there is no mark."""
    hot_copy: CopyFacts | None = None
    archive: CopyFacts | None = None
    archive_begun: tuple[int, int] | None = None
    """`(token, generation)` of the last archive that was begun, written before it is sent: R2 holds none above it."""
    unsaved: str | None = None
    """The shard on whose disk a newer state than every stored copy lies, as far as anybody knows; None otherwise."""
    hot_copy_reason: str | None = None
    """Why the newest copy is in R2 only, as a stable word: `too_large`; None when it is in Redis as well."""
    restored_from: str | None = None
    """`redis`, `r2`, `local` or None (fresh profile) at the last start."""
    restored_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class QrCode:
    """The QR code on display: `text` is what the phone reads, a secret while it lives."""

    text: str = field(repr=False)
    seen_at: datetime


@dataclass(frozen=True, kw_only=True)
class PairingCode:
    """The eight characters that a phone types to link without a camera."""

    code: str = field(repr=False)
    phone: str
    seen_at: datetime
