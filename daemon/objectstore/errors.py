"""The one place where errors of minio and urllib3 become ours.

| what came back | error |
|---|---|
| no answer, time-out, cut connection, 408, 429, 5xx, failed body check | ObjectStoreUnavailableError: retry |
| `NoSuchKey` | ObjectNotFoundError: it is certainly not there |
| 401, 403, `NoSuchBucket`, other 4xx, redirect, not S3's answer | ObjectStoreRefusedError: an operator must look |

"No such bucket" and a 404 that is not S3's own say nothing about an object, so they are never "not there".
"""

import contextlib
from collections.abc import Iterator
from xml.etree import ElementTree

import urllib3  # type: ignore[import-untyped]  # typed only from version 2 on
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from daemon.core.errors import BlazzError, ObjectNotFoundError, ObjectStoreRefusedError, ObjectStoreUnavailableError

_ABSENT = {"NoSuchKey"}
_PASSING = {"RequestTimeout", "SlowDown", "BadDigest", "IncompleteBody", "ClientDisconnect", "OperationAborted",
            "ConditionalRequestConflict", "XAmzContentSHA256Mismatch"}  # fmt: skip
_PASSING_STATUSES = {408, 429}
_HINTS = {
    "NoSuchBucket": "create the bucket, or correct R2_BUCKET_NAME and R2_ENDPOINT (jurisdictions have their own)",
    "SignatureDoesNotMatch": "check R2_SECRET_ACCESS_KEY",
    "InvalidAccessKeyId": "check R2_ACCESS_KEY_ID",
    "RequestTimeTooSkewed": "set the clock of this host",
    "AccessDenied": "the token of R2_ACCESS_KEY_ID must allow object read and write on the bucket R2_BUCKET_NAME",
    "Unauthorized": "check R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY",
}
_HINT_CREDENTIALS = "check R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY and what the token may do"
_HINT_ENDPOINT = "check R2_ENDPOINT: what answers there does not speak S3"


RAISED = (MinioException, urllib3.exceptions.HTTPError, OSError, ElementTree.ParseError, UnicodeDecodeError)
"""What calls of minio raise. The last two come from error answers whose XML is not XML."""
_CAUSES = (urllib3.exceptions.HTTPError, OSError)


@contextlib.contextmanager
def translated(action: str, *, bucket: str, key: str | None = None) -> Iterator[None]:
    """Run calls of minio; whatever they raise leaves as one of ours, without credentials."""
    try:
        yield
    except RAISED as error:
        raise translate(error, action, bucket=bucket, key=key) from error


def translate(error: Exception, action: str, *, bucket: str, key: str | None = None) -> BlazzError:
    """Return our error for one of minio's or urllib3's."""
    status, code = status_and_code(error)
    if status == 0:
        return ObjectStoreUnavailableError(
            f"object store does not answer ({_cause(error)})", action=action, bucket=bucket, key=key
        )
    if status == 404 and code in _ABSENT:
        return ObjectNotFoundError("no such object", action=action, bucket=bucket, key=key)
    if code in _PASSING or status in _PASSING_STATUSES or (status >= 500 and status != 501):
        return ObjectStoreUnavailableError(
            f"object store failed with {status} {code}".rstrip(), action=action, bucket=bucket, key=key
        )
    return ObjectStoreRefusedError(
        f"object store refused with {status} {code}".rstrip(),
        hint=_hint(status, code),
        action=action,
        bucket=bucket,
        key=key,
    )


def status_and_code(error: Exception) -> tuple[int, str]:
    """Return the HTTP status (0: there was no answer) and S3's error code ("" if the answer was not S3's)."""
    match error:
        case S3Error():
            status = getattr(error.response, "status", 0)
            return (status or 500, error.code or "")
        case ServerError():
            return (error.status_code, "")
        case InvalidResponseError():
            return (error._code, "")
        case _:
            return (0, "")


def condition_failed(error: Exception) -> bool:
    """Whether the store refused because `If-None-Match` or another writer stood against it."""
    status, code = status_and_code(error)
    return status == 412 or code in {"PreconditionFailed", "ConditionalRequestConflict"}


def no_answer(error: Exception) -> bool:
    """Whether nobody knows what the store did."""
    return status_and_code(error)[0] == 0


def not_s3(action: str, *, bucket: str, key: str | None = None) -> ObjectStoreRefusedError:
    """Return the error for an answer that looks like success and is not one of S3's."""
    return ObjectStoreRefusedError(
        "the answer is not one of an S3 server", hint=_HINT_ENDPOINT, action=action, bucket=bucket, key=key
    )


def _hint(status: int, code: str) -> str:
    if code in _HINTS:
        return _HINTS[code]
    if status in {401, 403}:
        return _HINT_CREDENTIALS
    return _HINT_ENDPOINT if not code else ""


def _cause(error: Exception) -> str:
    """Name the root of what went wrong, such as `ConnectTimeoutError` or `Connection refused`."""
    root: BaseException = error
    # urllib3 also leaves errors there that are its own affair, such as the TypeError of a keyword it tried.
    while isinstance(inner := getattr(root, "reason", None) or root.__cause__ or root.__context__, _CAUSES):
        root = inner
    if isinstance(root, OSError) and root.strerror:
        return root.strerror
    return type(root).__name__
