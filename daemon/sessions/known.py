"""`KnownSession`: what a source other than Redis knows of one session.

Sources are the bucket of archives and the platform's database. They are asked where Redis cannot say which sessions
there are.
"""

from dataclasses import dataclass
from datetime import datetime

from daemon.sessions.states import Desired


@dataclass(frozen=True, kw_only=True)
class KnownSession:
    """One session. None is what its source does not tell."""

    session_id: str
    workspace_id: str
    user_id: str | None
    void_token: int = 0
    """Copies with this token or a lower one belong to a login that was ended on purpose."""
    desired: Desired | None = None
    """What was wanted of it last; None: nobody is known to have wanted it stopped or deleted."""
    newest: tuple[int, int] | None = None
    """`(token, generation)` of its newest archive, void or not; (0, 0) is a zip that another service left."""
    backed_up_at: datetime | None = None
    wished_at: datetime | None = None
    """When what `desired` and `void_token` say was written down: an ended login's grace period counts from here."""
    marked: str | None = None
    """What its mark in the bucket says, as the record's field `marked` has it; None: there is no mark."""

    @property
    def restorable(self) -> bool:
        """Whether an archive is there that may be restored."""
        return self.newest is not None and (self.void_token == 0 or self.newest[0] > self.void_token)

    @property
    def highest_token(self) -> int:
        """The highest fencing token that the source knows of; new ones must be above it."""
        return max(self.void_token, self.newest[0] if self.newest else 0)
