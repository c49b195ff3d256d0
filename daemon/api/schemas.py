"""What requests and answers look like, and how a record is shown.

Requests refuse fields that they do not know, so that a misspelt optional one is not silently ignored.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from daemon.api.fields import Id, Instant, Phone
from daemon.sessions.record import CopyFacts, SessionRecord
from daemon.sessions.states import Desired, SessionState

MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=500)]
_METADATA_MAX = 20
_UNKNOWN_MAX = 20
"""Unknown fields that are named one by one; a body made of them would cost a long answer."""


def _few_entries(given: Any) -> Any:
    """Refuse many entries before each of them is looked at."""
    if isinstance(given, dict) and len(given) > _METADATA_MAX:
        raise ValueError(f"should have at most {_METADATA_MAX} entries")
    return given


def one_way(*ways: Sequence[str]) -> dict[str, Any]:
    """Return what an OpenAPI document says of fields of which exactly one group is given: all of it, and no other."""
    names = [name for way in ways for name in way]
    return {
        "oneOf": [
            {
                "required": list(way),
                "properties": {name: {"not": {"type": "null"}} if name in way else {"type": "null"} for name in names},
            }
            for way in ways
        ]
    }


class Request(BaseModel):
    """Base of all request bodies."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, given: Any) -> Any:
        if isinstance(given, dict) and len(given) > len(cls.model_fields) + _UNKNOWN_MAX:
            raise ValueError("has too many fields that are not known")
        return given


class CreateSession(Request):
    """A new session; the same request again returns the same session."""

    workspace_id: Id = Field(examples=["7"])
    user_id: Id = Field(examples=["12"])
    session_id: Id | None = Field(None, description="Default `session-{user_id}-{workspace_id}`.")
    phone: Phone | None = Field(None, description="The number expected to link, if known.", examples=["+5511999990000"])
    metadata: Annotated[dict[MetadataKey, MetadataValue], BeforeValidator(_few_entries)] = Field(
        default_factory=dict, max_length=_METADATA_MAX, description="Kept and shown, never used."
    )


class AskPairingCode(Request):
    """Whose phone will type the code."""

    phone: Phone = Field(examples=["+5511999990000"])


class CopyBody(BaseModel):
    """A stored copy of the session's state."""

    at: Instant
    size_bytes: int
    token: int
    generation: int
    clean: bool = Field(description="Taken after Chromium had ended.")


class ArchiveBody(CopyBody):
    """A copy in the object store."""

    key: str | None = Field(description="Name of the object.")


class SessionBody(BaseModel):
    """One session."""

    session_id: str = Field(examples=["session-12-7"])
    workspace_id: str = Field(examples=["7"])
    user_id: str = Field(examples=["12"])
    metadata: dict[str, str]
    status: SessionState
    desired: Desired = Field(description="What the operator wants.")
    reason: str | None = Field(description="Why it is in this state, as a stable word.", examples=[None])
    retry_at: Instant | None
    shard: str | None = Field(description="Where it should run.", examples=["shard_00"])
    runs_on: str | None = Field(description="Which shard wrote `status` last.", examples=["shard_00"])
    moving_from: str | None = Field(description="The shard that hands it over to `shard` now.", examples=[None])
    active_at: Instant | None = Field(description="When something last happened in it, to within a minute.")
    phone: str | None = Field(description="Digits, without `+`.", examples=["5511999990000"])
    pushname: str | None
    paired: bool = Field(description="A phone has linked it and has not logged it out.")
    hot_copy: CopyBody | None
    hot_copy_reason: str | None = Field(
        description="`too_large` when the newest copy is in R2 only, else null.", examples=[None]
    )
    archive: ArchiveBody | None
    last_backup_at: Instant | None = Field(description="The newer of hot copy and archive.")
    restored_from: str | None = Field(description="`redis`, `r2`, `local`, or null for a fresh profile.")
    restored_at: Instant | None
    created_at: Instant
    status_at: Instant
    token: int = Field(description="Fencing token of the last lease.")


class CreatedSession(SessionBody):
    """A session, and whether this request created it."""

    created: bool


class SessionList(BaseModel):
    """One page of sessions; pass `next_cursor` as `cursor` for the next, null on the last."""

    sessions: list[SessionBody]
    next_cursor: str | None


class PairingCodeBody(BaseModel):
    """The code that the phone types to link without a camera."""

    code: str = Field(examples=["ABCD1234"])
    phone: str = Field(examples=["5511999990000"])
    seen_at: Instant


def _shown_copy(facts: CopyFacts) -> dict[str, object]:
    return {name: getattr(facts, name) for name in ("at", "size_bytes", "token", "generation", "clean", "key")}


def shown(record: SessionRecord) -> dict[str, object]:
    """Return what the API shows of a record, for `SessionBody` and the models that grow from it."""
    same = set(SessionBody.model_fields) - {"hot_copy", "archive", "last_backup_at"}
    copies = {"hot_copy": record.hot_copy, "archive": record.archive}
    return {
        **{name: getattr(record, name) for name in same},
        **{name: _shown_copy(facts) if facts else None for name, facts in copies.items()},
        "last_backup_at": max((facts.at for facts in copies.values() if facts), default=None),
    }


def session_body(record: SessionRecord) -> SessionBody:
    """Return a session as the API shows it."""
    return SessionBody.model_validate(shown(record))
