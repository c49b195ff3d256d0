"""Unpacking that is interrupted leaves the profile as it was and nothing beside it; packing leaves no archive."""

import os
import resource
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.core.errors import BlazzError, SnapshotError, UnavailableError
from shards.archive import placing
from shards.archive.bounds import Expected
from shards.archive.hot import pack_hot
from shards.archive.pack import describe, pack
from shards.archive.unpack import read_manifest, unpack
from tests.unit.archive.conftest import ANY, LIMITS, PLAIN, Form, content_of, facts, write_files

MIB = 1 << 20
OLD = {"Default/old": b"profile"}


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Let every write that would make a file larger than this fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", ["_write", "_bring_to_disk", "_sync_file", "_swap", "sync_directory"])
def test_a_full_disk_is_unavailable_not_damaged_and_leaves_all_as_it_was(
    form: Form, snapshot_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    body = form.pack(snapshot_dir)
    write_files(tmp_path / "out", OLD)
    monkeypatch.setattr(placing, step, full)
    with pytest.raises(UnavailableError, match="No space left"):
        form.unpack(body, tmp_path / "out")
    assert content_of(tmp_path / "out") == OLD
    assert sorted(os.listdir(tmp_path)) == ["out", "snapshot", "work"] and not os.listdir(form.work)


@pytest.mark.parametrize("calls", range(1, 9))
def test_a_rename_or_sync_that_fails_at_any_point_is_undone(
    snapshot_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """The n-th call fails; all that undo it work."""
    form = Form("hot", tmp_path)
    body = form.pack(snapshot_dir)
    write_files(tmp_path / "out", OLD)
    made = 0

    def counted(real: Callable[..., None]) -> Callable[..., None]:
        def call(*given: object) -> None:
            nonlocal made
            made += 1
            if made == calls:
                full()
            real(*given)

        return call

    monkeypatch.setattr(placing.os, "rename", counted(os.rename))
    monkeypatch.setattr(placing, "sync_directory", counted(placing.sync_directory))
    try:
        form.unpack(body, tmp_path / "out")
    except UnavailableError:
        assert content_of(tmp_path / "out") == OLD
    else:
        assert made < calls and "Default/old" not in content_of(tmp_path / "out")
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_a_place_that_was_empty_is_empty_again_after_a_failure(
    snapshot_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = Form("hot", tmp_path)
    body = form.pack(snapshot_dir)
    real = placing.sync_directory

    def fails_at_the_end(path: Path) -> None:
        full() if path == tmp_path else real(path)

    monkeypatch.setattr(placing, "sync_directory", fails_at_the_end)
    with pytest.raises(UnavailableError):
        form.unpack(body, tmp_path / "out")
    assert os.listdir(tmp_path) == ["snapshot"]


def test_no_room_for_any_file_at_any_size_leaves_nothing_behind(form: Form, tmp_path: Path) -> None:
    """Real refusals of the kernel, while the source, the decrypted file and the profile are written."""
    snapshot_dir = write_files(tmp_path / "snapshot", {"a": os.urandom(300_000), "b/c": os.urandom(50_000)})
    manifest, body = describe(snapshot_dir, facts()), form.pack(snapshot_dir)
    source = tmp_path / "source"
    source.write_bytes(body)
    write_files(tmp_path / "out", OLD)
    for limit in (0, 10_000, 60_000, 299_000):
        with largest_file(limit), pytest.raises(UnavailableError):
            unpack(source, tmp_path / "out", limits=LIMITS, keyring=form.keyring, expected=ANY, work_dir=form.work)
        with largest_file(limit), pytest.raises(SnapshotError):
            pack(snapshot_dir, manifest, form.work / "archive", keyring=form.keyring)
        assert content_of(tmp_path / "out") == OLD
        assert sorted(os.listdir(tmp_path)) == ["out", "snapshot", "source", "work"] and not os.listdir(form.work)


def test_a_source_that_is_not_there_is_unavailable(form: Form, tmp_path: Path) -> None:
    """Nothing is known of the copy, so it is not called damaged."""
    with pytest.raises(UnavailableError):
        read_manifest(tmp_path / "none", keyring=form.keyring, work_dir=form.work)


def test_large_profiles_take_little_memory(form: Form, tmp_path: Path) -> None:
    """32 MiB here; the bound does not grow with the profile."""
    snapshot_dir = tmp_path / "snapshot"
    snapshot_dir.mkdir()
    (snapshot_dir / "large").write_bytes(os.urandom(MIB) * 32)
    manifest, keyring = describe(snapshot_dir, facts()), form.keyring
    tracemalloc.start()
    try:
        if "hot" in form.name:
            assert pack_hot(snapshot_dir, manifest, keyring=keyring, limit_bytes=MIB // 2) is None
        else:
            pack(snapshot_dir, manifest, tmp_path / "archive", keyring=keyring)
            expected = Expected(order=(3, 4))
            unpack(
                tmp_path / "archive", tmp_path / "out", limits=LIMITS, keyring=keyring, expected=expected,
                work_dir=form.work,
            )  # fmt: skip
        assert tracemalloc.get_traced_memory()[1] < 6 * MIB
    finally:
        tracemalloc.stop()


def test_nothing_else_than_our_errors_comes_out(snapshot_dir: Path, tmp_path: Path) -> None:
    """A directory in the place of the source, and a profile's place whose parent is gone."""
    with pytest.raises(BlazzError):
        unpack(tmp_path, tmp_path / "out", limits=LIMITS, keyring=PLAIN, expected=ANY, work_dir=tmp_path)
    form = Form("hot", tmp_path)
    with pytest.raises(BlazzError):
        form.unpack(form.pack(snapshot_dir), tmp_path / "gone" / "out")
