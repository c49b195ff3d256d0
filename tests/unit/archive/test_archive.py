"""Packing and unpacking belong together: what comes out is what went in."""

import dataclasses
import hashlib
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from daemon.core.errors import ArchiveDamagedError, ArchiveTooNewError, SnapshotError, UnavailableError
from shards.archive import pack as packing
from shards.archive import unpack as unpacking
from shards.archive.pack import Packed, pack
from shards.archive.unpack import UnpackLimits, read_manifest, unpack
from tests.unit.archive.conftest import FILES, facts, write_files

LIMITS = UnpackLimits()


def content_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("from_memory", [True, False])
def test_what_is_packed_is_unpacked(packed: Packed, archive: bytes, tmp_path: Path, from_memory: bool) -> None:
    source = archive if from_memory else tmp_path / "archive.zip"
    manifest = unpack(source, tmp_path / "out", limits=LIMITS, session_id="s-1", max_chromium="156.0.8078.79")
    assert manifest == packed.manifest == read_manifest(source)
    assert content_of(tmp_path / "out") == FILES
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "out/overlay.json").stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["archive.zip", "out", "snapshot"]


def test_unpacking_replaces_what_is_there(archive: bytes, packed: Packed, tmp_path: Path) -> None:
    write_files(tmp_path / "out", {"old": b"profile"})
    unpack(archive, tmp_path / "out", limits=LIMITS)
    assert content_of(tmp_path / "out") == FILES


def test_an_empty_snapshot_is_an_archive_too(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    pack(tmp_path / "none", facts(), tmp_path / "a.zip")
    assert unpack(tmp_path / "a.zip", tmp_path / "out", limits=LIMITS).files == ()
    assert (tmp_path / "out").is_dir()


def test_ordinary_tools_open_it_and_the_manifest_comes_first(packed: Packed, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive.zip") as opened:
        assert opened.testzip() is None
        assert opened.namelist() == ["manifest.json", *(f"profile/{path}" for path in sorted(FILES))]
    ran = subprocess.run([sys.executable, "-m", "zipfile", "-t", tmp_path / "archive.zip"], capture_output=True)
    assert ran.returncode == 0


def test_the_digests_are_those_of_the_file(packed: Packed, archive: bytes) -> None:
    assert packed.size_bytes == len(archive)
    assert packed.sha256 == hashlib.sha256(archive).hexdigest()
    assert packed.md5 == hashlib.md5(archive).hexdigest()


def test_equal_snapshots_give_equal_bytes(snapshot_dir: Path, tmp_path: Path, packed: Packed) -> None:
    os.utime(snapshot_dir / "empty", (1, 1))
    assert pack(snapshot_dir, facts(), tmp_path / "again.zip").sha256 == packed.sha256


def test_the_content_digest_knows_content_and_nothing_else(snapshot_dir: Path, tmp_path: Path, packed: Packed) -> None:
    later = pack(snapshot_dir, facts(token=9, generation=9, clean=True), tmp_path / "later.zip")
    assert later.content_digest == packed.content_digest and later.sha256 != packed.sha256
    os.rename(snapshot_dir / "empty", snapshot_dir / "renamed")
    assert pack(snapshot_dir, facts(), tmp_path / "other.zip").content_digest != packed.content_digest


def test_a_file_that_changes_while_it_is_packed_is_noticed(
    snapshot_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = packing._describe

    def describe_then_change(*given: object) -> object:
        manifest = real(*given)  # type: ignore[arg-type]
        (snapshot_dir / "overlay.json").write_bytes(b"[]")
        return manifest

    monkeypatch.setattr(packing, "_describe", describe_then_change)
    with pytest.raises(SnapshotError, match="changed"):
        pack(snapshot_dir, facts(), tmp_path / "archive.zip")
    assert not (tmp_path / "archive.zip").exists()


def test_another_sessions_archive_is_not_used(archive: bytes, tmp_path: Path) -> None:
    with pytest.raises(ArchiveDamagedError, match="another session"):
        unpack(archive, tmp_path / "out", limits=LIMITS, session_id="s-2")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("here", "refused"),
    [
        ("156.0.8078.79", False),
        ("156.0.8078.80", False),
        ("157.0.1.1", False),
        ("156.0.8078.78", True),
        ("156.0.999.99", True),
        ("99.0.9999.99", True),
    ],
)
def test_a_profile_of_a_newer_chromium_is_refused_by_number(
    archive: bytes, tmp_path: Path, here: str, refused: bool
) -> None:
    if refused:
        with pytest.raises(ArchiveTooNewError) as raised:
            unpack(archive, tmp_path / "out", limits=LIMITS, max_chromium=here)
        assert "156.0.8078.79" in raised.value.hint
    else:
        unpack(archive, tmp_path / "out", limits=LIMITS, max_chromium=here)
    assert (tmp_path / "out").exists() is not refused


@pytest.mark.parametrize("step", ["_extract", "_sync_tree", "_put_in_place"])
def test_a_full_disk_is_unavailable_not_damaged_and_leaves_all_as_it_was(
    archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_files(tmp_path / "out", {"old": b"profile"})
    monkeypatch.setattr(unpacking, step, full)
    with pytest.raises(UnavailableError, match="No space left"):
        unpack(archive, tmp_path / "out", limits=LIMITS)
    assert content_of(tmp_path / "out") == {"old": b"profile"}
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize("limits", [{"max_files": 4}, {"max_file_bytes": 9999}, {"max_total_bytes": 10_000},
                                    {"max_manifest_bytes": 100}])  # fmt: skip
def test_limits_hold(archive: bytes, tmp_path: Path, limits: dict[str, int]) -> None:
    with pytest.raises(ArchiveDamagedError):
        unpack(archive, tmp_path / "out", limits=dataclasses.replace(LIMITS, **limits))
    assert not (tmp_path / "out").exists()
