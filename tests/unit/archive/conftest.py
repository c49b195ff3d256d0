"""Archives for tests: made by the product, and made wrongly but with a valid seal."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from daemon.core.clock import parse_iso
from shards.archive.pack import ManifestFacts, Packed, pack
from shards.archive.seal import BLANK

FILES = {
    "Default/IndexedDB/x.indexeddb.leveldb/000005.ldb": b"table" * 2000,
    "Default/IndexedDB/x.indexeddb.leveldb/CURRENT": b"MANIFEST-000001\n",
    "Default/Local Storage/leveldb/000003.log": bytes(range(256)) * 4,
    "empty": b"",
    "overlay.json": b"{}",
}


def facts(**changes: Any) -> ManifestFacts:
    given: dict[str, Any] = {
        "session_id": "s-1",
        "workspace_id": "7",
        "user_id": "42",
        "token": 3,
        "generation": 4,
        "created_at": parse_iso("2026-11-23T02:00:00.123Z"),
        "chromium": "156.0.8078.79",
        "clean": False,
    }
    return ManifestFacts(**(given | changes))


def write_files(root: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


@pytest.fixture
def snapshot_dir(tmp_path: Path) -> Path:
    return write_files(tmp_path / "snapshot", FILES)


@pytest.fixture
def packed(snapshot_dir: Path, tmp_path: Path) -> Packed:
    return pack(snapshot_dir, facts(), tmp_path / "archive.zip")


@pytest.fixture
def archive(packed: Packed, tmp_path: Path) -> bytes:
    return (tmp_path / "archive.zip").read_bytes()


def manifest_json(listed_files: list[tuple[str, bytes]], /, **changes: Any) -> bytes:
    listed = [
        {"path": path, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in listed_files
    ]
    given: dict[str, Any] = {
        "format": 1, "session_id": "s-1", "workspace_id": "7", "user_id": "42", "token": 3, "generation": 4,
        "created_at": "2026-11-23T02:00:00.123Z", "chromium": "156.0.8078.79", "clean": False, "files": listed,
    }  # fmt: skip
    return json.dumps(given | changes).encode()


def forge(fill: Callable[[zipfile.ZipFile], None]) -> bytes:
    """Return a sealed archive with whatever entries `fill` writes: what a forger would make."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.comment = BLANK
        fill(made)
    return seal(out.getvalue())


def seal(content: bytes) -> bytes:
    """Replace the seal at the end by the right one."""
    body = content[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()
