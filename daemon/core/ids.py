"""Ids: what is allowed, and how new ones are made.

Ids become parts of Redis keys, object names and directory names, so the pattern admits nothing that could
leave its place (no dot, slash, brace, space or colon), and it is checked wherever an id enters the house.
"""

import re
import secrets
import time

from daemon.core.errors import InvalidInputError

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"
PHONE_PATTERN = r"^\+?[1-9][0-9]{6,14}$"
SHARD_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"

_ID = re.compile(ID_PATTERN.rstrip("$") + r"\Z")
_PHONE = re.compile(PHONE_PATTERN.rstrip("$") + r"\Z")
_SHARD = re.compile(SHARD_PATTERN.rstrip("$") + r"\Z")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def is_id(value: str) -> bool:
    """Whether `value` is a valid id."""
    return _ID.match(value) is not None


def check_id(value: str, field: str) -> str:
    """Return `value` if it is a valid id.

    Raises:
        InvalidInputError: naming the field; answer 422.
    """
    if not is_id(value):
        raise InvalidInputError(
            f"{field} must match {ID_PATTERN}", hint="letters, digits, '-' and '_', at most 100 characters", field=field
        )
    return value


def check_shard_name(value: str) -> str:
    """Return `value` if it is a valid shard name, as `shard_00`.

    Raises:
        InvalidInputError: naming the rule.
    """
    if not _SHARD.match(value):
        raise InvalidInputError(f"shard name must match {SHARD_PATTERN}", field="name")
    return value


def phone_digits(value: str, field: str = "phone") -> str:
    """Return the digits of an E.164 phone number, without `+`.

    Raises:
        InvalidInputError: when it is not 7 to 15 digits with an optional leading `+` and no leading zero.
    """
    if not _PHONE.match(value):
        raise InvalidInputError(
            f"{field} must be a phone number in E.164 form",
            hint="7 to 15 digits, for example +5511999990000",
            field=field,
        )
    return value.removeprefix("+")


def session_id_for(user_id: str, workspace_id: str) -> str:
    """Return the default session id of a user in a workspace: `session-{user_id}-{workspace_id}`."""
    return check_id(f"session-{user_id}-{workspace_id}", "session_id")


def new_id(prefix: str) -> str:
    """Return a new sortable id: `prefix_` + 10 characters of milliseconds + 16 random ones (as a ULID)."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    letters = [_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return f"{prefix}_{''.join(letters)}"
