"""The signature of a webhook: HMAC-SHA256 over `timestamp + "." + raw body`: neither can be changed or replayed.

While a secret is being changed there are two signatures, by comma. `verify` is what a receiver does; docs/api.md shows
the same in PHP.
"""

import hmac
from collections.abc import Sequence
from hashlib import sha256

ID_HEADER = "X-Webhook-Id"
EVENT_HEADER = "X-Webhook-Event"
TIMESTAMP_HEADER = "X-Webhook-Timestamp"
SIGNATURE_HEADER = "X-Webhook-Signature"

TOLERANCE_S = 300

_PREFIX = "sha256="
_MOST_SIGNATURES = 4


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Return one signature of a body sent at these Unix seconds."""
    mac = hmac.new(secret.encode(), str(timestamp).encode() + b"." + body, sha256)
    return _PREFIX + mac.hexdigest()


def sign_all(secrets: Sequence[str], timestamp: int, body: bytes) -> str:
    """Return the value of `X-Webhook-Signature`: one signature for each secret, in their order."""
    return ",".join(sign(secret, timestamp, body) for secret in secrets)


def verify(
    secret: str, timestamp: str, body: bytes, signature: str, *, now: float, tolerance_s: int = TOLERANCE_S
) -> bool:
    """Whether the header values belong to this raw body and the time is within `tolerance_s` of `now` (Unix seconds).

    Any one of several signatures will do. Both header values come from outside: anything at all may be in them.
    """
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        return False
    expected = sign(secret, int(timestamp), body).encode()
    # int() would also read 0123; only the canonical form can have been signed by us.
    canonical = str(int(timestamp)) == timestamp
    given = [part.strip().encode(errors="replace") for part in signature.split(",", _MOST_SIGNATURES)]
    genuine = any(hmac.compare_digest(expected, one) for one in given[:_MOST_SIGNATURES])
    return genuine and canonical and abs(now - int(timestamp)) <= tolerance_s
