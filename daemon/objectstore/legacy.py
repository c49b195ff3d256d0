"""Where a Node service (whatsapp-web.js `RemoteAuth` with `wwebjs-aws-s3`) left the zip of a session. Pure.

`RemoteAuth` names a session `RemoteAuth-{clientId}` and the store puts it below a folder of its user's choice; others
named the object after the session below a folder of the workspace.
"""

import re
from dataclasses import dataclass

from daemon.objectstore.keys import prefix_of

_ID = "[A-Za-z0-9][A-Za-z0-9_-]{0,99}"
_KEY = re.compile(
    rf"(?:.*/)?workspace_(?P<workspace>{_ID})/(?:(?P<folder>{_ID})/)?(?P<name>RemoteAuth-{_ID}|{_ID})\.zip"
)
_PLAIN_KEY = re.compile(rf"(?:.*/)?RemoteAuth-(?P<session>{_ID})\.zip")
_SESSION = re.compile(r"session-([A-Za-z0-9][A-Za-z0-9_]*)-([A-Za-z0-9][A-Za-z0-9_]*)")
_MARK = "RemoteAuth-"


@dataclass(frozen=True, kw_only=True)
class LegacyName:
    """What the name of a legacy zip tells; None is what it does not tell."""

    session_id: str
    workspace_id: str | None
    user_id: str | None


def legacy_keys(workspace_id: str, session_id: str, prefix: str) -> tuple[str, ...]:
    """Return the names that a legacy zip of this session may have; `prefix` is a further folder to look in, or empty.

    Raises:
        InvalidInputError: not valid ids.
    """
    folder = prefix_of(workspace_id, session_id)
    workspace = folder.removesuffix(f"{session_id}/")
    below = (f"{workspace}{session_id}.zip", f"{workspace}{_MARK}{session_id}.zip", f"{folder}{_MARK}{session_id}.zip")
    base = _folder(prefix)
    return tuple(dict.fromkeys((*below, f"{base}{_MARK}{session_id}.zip", *(base + key for key in below))))


def legacy_prefixes(prefix: str) -> tuple[str, ...]:
    """Return what names of legacy zips may begin with, but for `workspace_`; no name begins with two of them."""
    base = _folder(prefix)
    if base.startswith("workspace_"):
        return ()
    return (f"{base}{_MARK}", f"{base}workspace_") if base else (_MARK,)


def _folder(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


def parse_legacy_key(key: str) -> LegacyName | None:
    """Return whose legacy zip an object is by its name, in whatever folder it lies; None for any other object."""
    if match := _KEY.fullmatch(key):
        session_id = match["name"].removeprefix(_MARK)
        if match["folder"] is not None and key.rpartition("/")[2] != f"{_MARK}{match['folder']}.zip":
            return None
        return _named(session_id, match["workspace"])
    if match := _PLAIN_KEY.fullmatch(key):
        return _named(match["session"], None)
    return None


def _named(session_id: str, workspace_id: str | None) -> LegacyName:
    """Read user and workspace off an id of the form `session-{user}-{workspace}`, unless it could be read two ways."""
    user_id = None
    if workspace_id is not None:
        match = re.fullmatch(rf"session-({_ID})-{workspace_id}", session_id)
        user_id = match[1] if match else None
    elif match := _SESSION.fullmatch(session_id):
        user_id, workspace_id = match[1], match[2]
    return LegacyName(session_id=session_id, workspace_id=workspace_id, user_id=user_id)
