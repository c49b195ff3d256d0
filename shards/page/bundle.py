"""The wa-js bundle: found, verified and read once per process. Never downloads anything; that is `bin/setup`'s part."""

import functools
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from daemon.core.errors import FatalError

_ROOM = Path(__file__).parent
_LOCK = _ROOM / "wajs.lock.json"
_VENDORED = _ROOM / "vendor" / "wppconnect-wa.js"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """The text of wa-js that is put into the page."""

    source: str = field(repr=False)
    version: str


@functools.cache
def load_bundle(path: Path | None = None) -> Bundle:
    """Return the pinned bundle, or the one in `path` (the setting WAJS_BUNDLE), which is taken as it is.

    Raises:
        FatalError: it is missing, or not the pinned bytes; run bin/setup.
    """
    if path is not None:
        return Bundle(source=_read(path, "check WAJS_BUNDLE").decode(), version=f"from {path.name}")
    lock = json.loads(_LOCK.read_text())
    content = _read(_VENDORED, "run bin/setup, which fetches it")
    found = hashlib.sha256(content).hexdigest()
    if found != lock["sha256"]:
        raise FatalError(
            f"the wa-js bundle is not version {lock['version']} as pinned: its SHA-256 is {found}",
            hint="run bin/setup, which fetches the pinned one; WAJS_BUNDLE names another on purpose",
            path=_VENDORED,
        )
    return Bundle(source=content.decode(), version=lock["version"])


def _read(path: Path, hint: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FatalError(f"cannot read the wa-js bundle: {error.strerror}", hint=hint, path=path) from error
