"""The error tree: the second level says what the caller can do, the class carries the stable code.

HTTP status, CLI exit code and retry policy all come from the attributes here. Every error keeps the ids that
an operator would paste into a ticket (`ids`) and, where there is one, the next step to take (`hint`).
Messages, ids and hints never hold a secret.
"""

from typing import ClassVar

from daemon.core.exit_codes import ExitCode


class BlazzError(Exception):
    """Base of every error this project raises on purpose."""

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[ExitCode] = ExitCode.SOFTWARE
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", **ids: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.ids = {name: str(value) for name, value in ids.items() if value is not None}
        self.retry_after_s: float | None = None
        """When trying again may help, if that is known."""

    def __str__(self) -> str:
        where = " ".join(f"{name}={value}" for name, value in self.ids.items())
        return f"{self.message} [{where}]" if where else self.message


class UnavailableError(BlazzError):
    """Something outside did not answer: nothing is known, so wait and try again; never treat it as absent."""

    code = "unavailable"
    http_status = 503
    exit_code = ExitCode.UNAVAILABLE
    retryable = True


class ConflictError(BlazzError):
    """The thing exists in a state that does not allow the request."""

    code = "conflict"
    http_status = 409


class NotFoundError(BlazzError):
    """The store answered, and the thing is not there."""

    code = "not_found"
    http_status = 404


class InvalidInputError(BlazzError):
    """The caller sent something that can never be accepted."""

    code = "invalid_input"
    http_status = 422
    exit_code = ExitCode.USAGE


class DamagedError(BlazzError):
    """Stored bytes are not what was written; try an older copy, never use this one."""

    code = "damaged"


class FatalError(BlazzError):
    """Trying again cannot help before somebody changes something."""

    code = "fatal"
    exit_code = ExitCode.CONFIG


class SettingsError(FatalError):
    """One or more settings are missing or wrong."""

    code = "settings_invalid"


class RedisUnavailableError(UnavailableError):
    """Redis did not answer in time or refused the connection."""

    code = "redis_unavailable"


class RedisLostDataError(RedisUnavailableError):
    """Redis answers, but lost what it knew of this session; nothing is granted before every older lease has run out."""

    code = "redis_lost_data"


class ObjectStoreUnavailableError(UnavailableError):
    """The S3 server (Cloudflare R2) did not answer in time, throttled, or failed inside."""

    code = "object_store_unavailable"


class ObjectStoreRefusedError(FatalError):
    """The S3 server answered and refused: credentials, permission, bucket name."""

    code = "object_store_refused"


class ObjectExistsError(ConflictError):
    """Another writer already stored other bytes under this object name."""

    code = "object_exists"


class ObjectNotFoundError(NotFoundError):
    """The S3 server answered: there is no such object."""

    code = "object_not_found"


class SessionNotFoundError(NotFoundError):
    """No session with this id."""

    code = "session_not_found"


class ArchiveNotFoundError(NotFoundError):
    """The object store answered: the session has no such archive."""

    code = "archive_not_found"


class ArchiveVoidError(ConflictError):
    """The archive belongs to a login that was ended; WhatsApp would not take it."""

    code = "archive_void"


class ShardNotFoundError(NotFoundError):
    """No shard with this name has ever been seen, or it is gone for good."""

    code = "shard_not_found"


class TokenNotFoundError(NotFoundError):
    """No API token with this id."""

    code = "token_not_found"


class EventIdUnknownError(InvalidInputError):
    """What was given as the last event that was seen is no id of an event."""

    code = "event_id_unknown"


class TooManyFollowersError(BlazzError):
    """As many follow the events over HTTP as may."""

    code = "too_many_followers"
    http_status = 429
    exit_code = ExitCode.TEMPORARY
    retryable = True


class JobNotFoundError(NotFoundError):
    """No restore job with this id, or it is too old."""

    code = "job_not_found"


class TooManyJobsError(BlazzError):
    """As many restore jobs are unfinished as may."""

    code = "too_many_jobs"
    http_status = 429
    exit_code = ExitCode.TEMPORARY
    retryable = True


class EndpointNotFoundError(NotFoundError):
    """No webhook endpoint of this name is configured."""

    code = "endpoint_not_found"


class DeadLetterNotFoundError(NotFoundError):
    """No dead letter with this id, or it was sent again, removed, or pushed out by newer ones."""

    code = "dead_letter_not_found"


class SessionNotConnectedError(ConflictError):
    """The session is not in a state in which it can do that."""

    code = "session_not_connected"


class SendInProgressError(ConflictError):
    """Another request with the same idempotency key sends the message right now."""

    code = "send_in_progress"
    retryable = True


class IdempotencyKeyReusedError(InvalidInputError):
    """The idempotency key was used for another message."""

    code = "idempotency_key_reused"


class RecipientUnknownError(InvalidInputError):
    """WhatsApp has no account for this phone number."""

    code = "recipient_not_on_whatsapp"


class SendQueueFullError(BlazzError):
    """As many messages of the session wait for their turn as may."""

    code = "send_queue_full"
    http_status = 429
    exit_code = ExitCode.TEMPORARY
    retryable = True


class SendNotFoundError(NotFoundError):
    """Nothing is remembered of this idempotency key."""

    code = "send_not_found"


class MessageNotFoundError(NotFoundError):
    """The session's page does not know this message."""

    code = "message_not_found"


class MediaNotFoundError(NotFoundError):
    """The message has no media, or WhatsApp does not keep them any more."""

    code = "media_not_found"


class MediaTooLargeError(InvalidInputError):
    """The media of the message are larger than `MAX_MEDIA_BYTES`."""

    code = "media_too_large"


class IllegalTransitionError(ConflictError):
    """A state change that the table of transitions does not allow."""

    code = "illegal_transition"


class LeaseHeldError(ConflictError):
    """Another holder has the lease of this session."""

    code = "lease_held"


class TokenUnprovenError(ConflictError):
    """Redis does not vouch for the session's last token: the archive catalogue must be asked first."""

    code = "token_unproven"


class LeaseLostError(ConflictError):
    """We no longer hold the lease, or it cannot be proven that we do: stop the session without asking."""

    code = "lease_lost"


class StaleTokenError(ConflictError):
    """A newer fencing token exists: this writer may change nothing any more."""

    code = "stale_token"


class ShardUnavailableError(UnavailableError):
    """The shard that should do this does not answer, and certainly has not done it."""

    code = "shard_unavailable"


class OutcomeUnknownError(UnavailableError):
    """The shard began the action and did not report its end: it may have happened, do not repeat it blindly."""

    code = "outcome_unknown"
    retryable = False


class ActionFailedError(BlazzError):
    """The shard tried, and WhatsApp Web refused; it has certainly not happened."""

    code = "action_failed"
    http_status = 502


class CodeNotAvailableError(ConflictError):
    """No QR code or pairing code is on display now."""

    code = "code_not_available"


class SessionTakenError(ConflictError):
    """A session of this id exists for another user or workspace, or is still being deleted."""

    code = "session_id_taken"


class NoShardError(UnavailableError):
    """No live shard can take the session."""

    code = "no_shard"


class ArchiveDamagedError(DamagedError):
    """An archive or hot copy fails verification."""

    code = "archive_damaged"


class ArchiveUnsafeError(ArchiveDamagedError):
    """An archive that tries to write outside its directory, or to unpack to more than it declares."""

    code = "archive_unsafe"


class ArchiveTooNewError(FatalError):
    """The profile was written by a newer Chromium than ours; an older one would silently drop its data."""

    code = "archive_chromium_newer"


class ArchiveKeyMissingError(FatalError):
    """A copy is encrypted with a key that ARCHIVE_KEYS lacks; it may be the newest, so nothing older is used."""

    code = "archive_key_missing"


class UnsavedStateError(ConflictError):
    """A shard's disk has a newer state of the session than every store: what is stored must not become the newest."""

    code = "unsaved_state"


class ArchiveNotEncryptedError(FatalError):
    """A whole copy that is not encrypted, while only encrypted ones are accepted; it may be the newest."""

    code = "archive_not_encrypted"


class DiskLowError(UnavailableError):
    """Less free space than MIN_FREE_BYTES: nothing is begun that would need more."""

    code = "disk_low"


class SnapshotError(UnavailableError):
    """No consistent snapshot could be taken now; the previous backup stays the newest."""

    code = "snapshot_failed"


class BrowserError(UnavailableError):
    """Chromium did not start, died, or its DevTools connection broke."""

    code = "browser_failed"


class PageTimeoutError(BrowserError):
    """A call into the page did not answer in its time limit."""

    code = "page_timeout"


class PageCallError(BrowserError):
    """The page answered a call with an error."""

    code = "page_call_failed"
    retryable = False


class LoggedOutError(FatalError):
    """WhatsApp itself said that this device was logged out."""

    code = "logged_out"
