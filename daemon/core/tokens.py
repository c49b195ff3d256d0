"""API tokens: what one may do, how it looks, and how it is kept. Pure.

Only the SHA-256 of a token is stored. A slow hash is for passwords, which can be guessed; these have 256 random bits.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from daemon.core.clock import iso, parse_iso
from daemon.core.errors import DamagedError

_TOKEN = re.compile(r"blz_([A-Za-z0-9]{12})_([A-Za-z0-9_-]{43})")
_ID_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZabcdefghjkmnpqrstvwxyz"
_ID_CHARS = 12
_SECRET_BYTES = 32


class Scope(StrEnum):
    """What a token may do. `admin` includes the others, `send` and `manage` include `read`."""

    READ = "read"
    SEND = "send"
    MANAGE = "manage"
    ADMIN = "admin"


_INCLUDED = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.SEND: frozenset({Scope.READ, Scope.SEND}),
    Scope.MANAGE: frozenset({Scope.READ, Scope.MANAGE}),
    Scope.ADMIN: frozenset(Scope),
}


@dataclass(frozen=True, kw_only=True)
class ApiToken:
    """What is known of one token; the token itself is shown once and kept nowhere."""

    token_id: str
    digest: str
    """SHA-256 of the whole token, hexadecimal."""
    name: str
    """What people call it; not secret."""
    scopes: frozenset[Scope]
    workspaces: frozenset[str] | None
    """The only workspaces that it may see; None: all."""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def works(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def is_made_of(self, text: str) -> bool:
        """Whether `text` is this token, compared in constant time."""
        return hmac.compare_digest(self.digest, digest_of(text))

    @property
    def granted(self) -> frozenset[Scope]:
        """Everything that its scopes include."""
        return frozenset().union(*(_INCLUDED[scope] for scope in self.scopes))


def new_token() -> tuple[str, str]:
    """Return a new id and the token that belongs to it."""
    token_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_CHARS))
    return token_id, f"blz_{token_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def id_in(text: str) -> str | None:
    """Return the id in a token, or None if it cannot be one of ours."""
    found = _TOKEN.fullmatch(text)
    return found[1] if found else None


def digest_of(text: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def token_to_text(token: ApiToken) -> str:
    """Return a token's facts as JSON."""
    times = {name: getattr(token, name) for name in ("created_at", "expires_at", "revoked_at")}
    return json.dumps(
        {
            "id": token.token_id,
            "digest": token.digest,
            "name": token.name,
            "scopes": sorted(token.scopes),
            "workspaces": None if token.workspaces is None else sorted(token.workspaces),
            **{name: iso(at) if at else None for name, at in times.items()},
        }
    )


def token_from_text(text: str | bytes) -> ApiToken:
    """Return the facts in a text of `token_to_text`.

    Raises:
        DamagedError: they cannot be read; the token must not work.
    """
    try:
        raw: Mapping[str, Any] = json.loads(text)
        return ApiToken(
            token_id=str(raw["id"]),
            digest=str(raw["digest"]),
            name=str(raw["name"]),
            scopes=frozenset(Scope(scope) for scope in raw["scopes"]),
            workspaces=None if raw["workspaces"] is None else frozenset(map(str, raw["workspaces"])),
            created_at=parse_iso(raw["created_at"]),
            expires_at=parse_iso(raw["expires_at"]) if raw["expires_at"] else None,
            revoked_at=parse_iso(raw["revoked_at"]) if raw["revoked_at"] else None,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedError("a token's facts cannot be read") from error
