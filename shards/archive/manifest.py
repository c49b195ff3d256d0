"""The manifest: what an archive holds and where it stands among the copies of its session. Pure.

It is the first entry of the archive, as JSON. Reading it is strict: a field too many, too few, of another type or out
of range makes the archive damaged.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from daemon.core.clock import iso, parse_iso
from daemon.core.errors import ArchiveDamagedError, ArchiveUnsafeError, InvalidInputError
from daemon.core.ids import check_id

FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,5}")
_MAX_PATH_BYTES = 1024
_MAX_NAME_BYTES = 255
_MAX_NUMBER = 2**62


@dataclass(frozen=True, kw_only=True)
class ManifestFile:
    """One file: `path` is relative to the profile, with `/`."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything an archive says of itself. `created_at` is UTC with milliseconds; `files` are ordered by path."""

    format: int = FORMAT
    session_id: str
    workspace_id: str
    user_id: str
    token: int
    generation: int
    created_at: datetime
    chromium: str
    """The version that wrote the profile, as `156.0.8078.79`."""
    clean: bool
    """Taken after Chromium's exit; else of a live profile."""
    files: tuple[ManifestFile, ...]

    @property
    def order(self) -> tuple[int, int]:
        """The pair that orders all copies of one session; the highest is the newest."""
        return (self.token, self.generation)

    def to_json(self) -> bytes:
        """Return the bytes that `from_json` reads; equal manifests give equal bytes."""
        content = {
            "format": self.format,
            "session_id": self.session_id,
            "workspace_id": self.workspace_id,
            "user_id": self.user_id,
            "token": self.token,
            "generation": self.generation,
            "created_at": iso(self.created_at),
            "chromium": self.chromium,
            "clean": self.clean,
            "files": [{"path": f.path, "size_bytes": f.size_bytes, "sha256": f.sha256} for f in self.files],
        }
        return json.dumps(content, indent=1).encode("ascii")

    @classmethod
    def from_json(cls, content: bytes) -> "Manifest":
        """Read and check a manifest.

        Raises:
            ArchiveUnsafeError: a path would leave the profile.
            ArchiveDamagedError: anything else that is not as it must be.
        """
        try:
            raw = json.loads(content)
            return _read(cls, raw)
        except (ValueError, TypeError, KeyError, RecursionError, InvalidInputError) as error:
            raise ArchiveDamagedError(f"manifest is not valid: {_reason(error)}") from None


def content_digest(files: tuple[ManifestFile, ...]) -> str:
    """Return one SHA-256 over all paths and digests: equal for equal content, whatever token and generation."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.sha256} {file.path}\n".encode())
    return digest.hexdigest()


def version_numbers(version: str) -> tuple[int, ...]:
    """Return a Chromium version as numbers that compare as versions do.

    Raises:
        ValueError: not dotted numbers.
    """
    if not _VERSION.fullmatch(version):
        raise ValueError(f"not a version: {version[:40]!r}")
    return tuple(int(part) for part in version.split("."))


def check_path(path: str) -> str:
    """Return `path` if it can only name a file below the directory it is put in.

    Raises:
        ArchiveUnsafeError: absolute, upward, empty or unprintable parts, or too long.
    """
    parts = path.split("/")
    unsafe = (
        not path.isprintable()
        or "\\" in path
        or any(part in {"", ".", ".."} or len(part.encode()) > _MAX_NAME_BYTES for part in parts)
        or len(path.encode()) > _MAX_PATH_BYTES
    )
    if unsafe:
        raise ArchiveUnsafeError("archive names a path that could leave the profile", path=ascii(path[:200]))
    return path


def _read(cls: type[Manifest], raw: Any) -> Manifest:
    _exactly(raw, cls.__dataclass_fields__)
    if raw["format"] != FORMAT or isinstance(raw["format"], bool):
        raise ValueError(f"format {raw['format']!r} is not known")
    version_numbers(raw["chromium"])
    if not isinstance(raw["clean"], bool) or not isinstance(raw["files"], list):
        raise ValueError("clean or files of another type")
    files = tuple(_read_file(item) for item in raw["files"])
    check_paths([file.path for file in files])
    return cls(
        session_id=check_id(raw["session_id"], "session_id"),
        workspace_id=check_id(raw["workspace_id"], "workspace_id"),
        user_id=check_id(raw["user_id"], "user_id"),
        token=_number(raw["token"]),
        generation=_number(raw["generation"]),
        created_at=_time(raw["created_at"]),
        chromium=raw["chromium"],
        clean=raw["clean"],
        files=files,
    )


def _read_file(raw: Any) -> ManifestFile:
    _exactly(raw, ManifestFile.__dataclass_fields__)
    if not isinstance(raw["path"], str) or not _SHA256.fullmatch(raw["sha256"]):
        raise ValueError("path is no text, or sha256 no SHA-256")
    return ManifestFile(path=check_path(raw["path"]), size_bytes=_number(raw["size_bytes"]), sha256=raw["sha256"])


def check_paths(paths: list[str]) -> None:
    """Check order and that no name is twice there or also the directory of another.

    Raises:
        ArchiveDamagedError: not sorted, or one is there twice.
        ArchiveUnsafeError: a file that is also a directory.
    """
    if paths != sorted(set(paths)):
        raise ArchiveDamagedError("files are not in order, or one is there twice")
    folders = {path[:at] for path in paths for at, letter in enumerate(path) if letter == "/"}
    if folders & set(paths):
        raise ArchiveUnsafeError("archive names a file that is also a directory")


def _exactly(raw: Any, fields: Mapping[str, object]) -> None:
    if not isinstance(raw, dict) or raw.keys() != set(fields):
        raise ValueError("not exactly the known fields")


def _number(raw: Any) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or not 0 <= raw <= _MAX_NUMBER:
        raise ValueError("number missing or out of range")
    return raw


def _time(raw: Any) -> datetime:
    at = parse_iso(raw)
    if iso(at) != raw:
        raise ValueError("time in another form")
    return at


def _reason(error: Exception) -> str:
    return f"field {error} is missing" if isinstance(error, KeyError) else str(error)[:200]
