"""Copies for tests: made by the product, and made wrongly but with a valid seal."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from daemon.core.clock import parse_iso
from shards.archive.bounds import Expected, UnpackLimits
from shards.archive.hot import pack_hot, unpack_hot
from shards.archive.keyring import Keyring
from shards.archive.manifest import Manifest
from shards.archive.pack import ManifestFacts, Packed, describe, pack
from shards.archive.seal import BLANK
from shards.archive.unpack import unpack, verify

FILES = {
    "Default/IndexedDB/x.indexeddb.leveldb/000005.ldb": b"table" * 2000,
    "Default/IndexedDB/x.indexeddb.leveldb/CURRENT": b"MANIFEST-000001\n",
    "Default/Local Storage/leveldb/000003.log": bytes(range(256)) * 4,
    "empty": b"",
    "overlay.json": b"{}",
}
LIMITS = UnpackLimits()
PLAIN = Keyring({})
KEYS = Keyring({"k2": b"2" * 32, "k1": b"1" * 32})
ANY = Expected()
HERE = Expected(session_id="s-1", order=(3, 4), max_chromium="156.0.8078.79")
FORMS = ("zip", "sealed-zip", "hot", "sealed-hot")


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


def content_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Form:
    """One of the four forms of a copy, with one way to pack and one to unpack for tests that run on all of them."""

    name: str
    work: Path

    @property
    def sealed(self) -> bool:
        return self.name.startswith("sealed")

    @property
    def keyring(self) -> Keyring:
        return KEYS if self.sealed else PLAIN

    def pack(self, snapshot_dir: Path, *, keyring: Keyring | None = None, **changes: Any) -> bytes:
        """Return the bytes of a copy of the directory."""
        ring = keyring or self.keyring
        manifest = describe(snapshot_dir, facts(**changes))
        if self.name.endswith("hot"):
            body = pack_hot(snapshot_dir, manifest, keyring=ring, limit_bytes=10**7)
            assert body is not None
            return body
        out = self.work / "packed"
        pack(snapshot_dir, manifest, out, keyring=ring)
        body = out.read_bytes()
        out.unlink()
        return body

    def unpack(
        self,
        body: bytes,
        into: Path,
        *,
        expected: Expected = HERE,
        keyring: Keyring | None = None,
        limits: UnpackLimits = LIMITS,
        keep: Sequence[str] = (),
    ) -> Manifest:
        """Unpack a copy, the archives from a file and the hot copies from memory."""
        ring = keyring or self.keyring
        if self.name.endswith("hot"):
            return unpack_hot(body, into, limits=limits, keyring=ring, expected=expected, keep=keep)
        source = self.work / "source"
        source.write_bytes(body)
        try:
            return unpack(source, into, limits=limits, keyring=ring, expected=expected, work_dir=self.work, keep=keep)
        finally:
            source.unlink()

    def verify(self, body: bytes, *, expected: Expected = HERE, keyring: Keyring | None = None) -> Manifest:
        """Verify a copy from a file."""
        source = self.work / "source"
        source.write_bytes(body)
        try:
            ring = keyring or self.keyring
            return verify(source, limits=LIMITS, keyring=ring, expected=expected, work_dir=self.work)
        finally:
            source.unlink()


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, tmp_path: Path) -> Form:
    work = tmp_path / "work"
    work.mkdir()
    return Form(request.param, work)


@pytest.fixture
def snapshot_dir(tmp_path: Path) -> Path:
    return write_files(tmp_path / "snapshot", FILES)


@pytest.fixture
def packed(snapshot_dir: Path, tmp_path: Path) -> Packed:
    return pack(snapshot_dir, describe(snapshot_dir, facts()), tmp_path / "archive.zip", keyring=PLAIN)


@pytest.fixture
def archive(packed: Packed, tmp_path: Path) -> bytes:
    return (tmp_path / "archive.zip").read_bytes()


def assert_refused(content: bytes, tmp_path: Path, error: type[Exception], *, limits: UnpackLimits = LIMITS) -> None:
    """Check that an unencrypted copy is refused from a file and from memory, and that nothing is left behind."""
    source = tmp_path / "refused"
    source.write_bytes(content)
    before = sorted(os.listdir(tmp_path))
    into = tmp_path / "never"
    with pytest.raises(error):
        unpack(source, into, limits=limits, keyring=KEYS, expected=ANY, work_dir=tmp_path)
    with pytest.raises(error):
        unpack_hot(content, into, limits=limits, keyring=KEYS, expected=ANY)
    assert sorted(os.listdir(tmp_path)) == before


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
