"""Which scope a request needs, by its method and path alone; what is not named here needs `admin`.

Pure. A test holds this against every route of the app.
"""

import re

from daemon.core.tokens import Scope

_BASE = "/api/whatsapp"
_SECRETS = re.compile(rf"{_BASE}/sessions/[^/]+/(qr|pairing-code)")
_ADMIN = re.compile(rf"{_BASE}/(webhooks|tokens)(/.*)?")
_READABLE = re.compile(rf"{_BASE}/(sessions|shards|restore|events)(/.*)?|/health/.*|/metrics|/")
_SENDING = re.compile(rf"{_BASE}/send(/.*)?")
_MANAGED = re.compile(rf"{_BASE}/(sessions|restore)(/.*)?")


def needed_scope(method: str, path: str) -> Scope:
    """Return the scope that a request needs."""
    if _ADMIN.fullmatch(path):
        return Scope.ADMIN
    if _SECRETS.fullmatch(path):  # whoever sees such a code can link a phone of their own
        return Scope.MANAGE
    if method in {"GET", "HEAD"} and _READABLE.fullmatch(path):
        return Scope.READ
    if method == "POST" and _SENDING.fullmatch(path):
        return Scope.SEND
    if _MANAGED.fullmatch(path):
        return Scope.MANAGE
    return Scope.ADMIN
