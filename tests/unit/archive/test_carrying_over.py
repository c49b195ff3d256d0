"""Directories that are carried over from the profile that is replaced: moved, never needed, never in the way."""

import os
from pathlib import Path

import pytest

from daemon.core.errors import UnavailableError
from shards.archive import placing
from tests.unit.archive.conftest import FILES, LIMITS, Form, content_of, write_files

OLD = {"Default/Cache/a": b"cached", "Default/Cache/deep/b": b"cached too", "Default/Cookies": b"old login"}
CARRIED = {path: content for path, content in OLD.items() if path.startswith("Default/Cache/")}


class KilledError(BaseException):
    """Nobody catches it, as nobody catches SIGKILL."""


def unpack(form: Form, body: bytes, into: Path, *keep: str) -> None:
    form.unpack(body, into, limits=LIMITS, keep=keep)


def test_named_directories_are_carried_over_and_nothing_else(form: Form, snapshot_dir: Path, tmp_path: Path) -> None:
    body, out = form.pack(snapshot_dir), tmp_path / "out"
    write_files(out, OLD)
    moved = (out / "Default/Cache/a").stat().st_ino
    unpack(form, body, out, "Default/Cache", "Default/Code Cache")
    assert content_of(out) == FILES | CARRIED
    assert (out / "Default/Cache/a").stat().st_ino == moved
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_what_the_copy_holds_is_never_replaced(form: Form, snapshot_dir: Path, tmp_path: Path) -> None:
    body, out = form.pack(snapshot_dir), tmp_path / "out"
    write_files(out, {"Default/Local Storage/leveldb/old": b"old"})
    unpack(form, body, out, "Default/Local Storage")
    assert content_of(out) == FILES


def test_links_and_files_are_not_carried_over(snapshot_dir: Path, tmp_path: Path) -> None:
    form, out = Form("hot", tmp_path), tmp_path / "out"
    body = form.pack(snapshot_dir)
    write_files(out, {"Default/file": b"no directory"})
    (out / "Default/Cache").symlink_to(tmp_path)
    unpack(form, body, out, "Default/Cache", "Default/file")
    assert content_of(out) == FILES and not (out / "Default/Cache").is_symlink()


def test_into_an_empty_place_nothing_is_carried(form: Form, snapshot_dir: Path, tmp_path: Path) -> None:
    unpack(form, form.pack(snapshot_dir), tmp_path / "out", "Default/Cache")
    assert content_of(tmp_path / "out") == FILES


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_killed_at_any_rename_the_login_is_the_old_one_or_the_new_one(
    snapshot_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """The first two renames put the new profile in place, the others carry over."""
    form, out, made = Form("hot", tmp_path), tmp_path / "out", 0
    body, old, real = form.pack(snapshot_dir), OLD | {"Default/Code Cache/c": b"code"}, os.rename
    write_files(out, old)

    def killed(source: Path, target: Path) -> None:
        nonlocal made
        made += 1
        if made == call:
            raise KilledError
        real(source, target)

    monkeypatch.setattr(placing.os, "rename", killed)
    with pytest.raises(KilledError):
        unpack(form, body, out, "Default/Cache", "Default/Code Cache")
    if call <= 2:
        aside = [path for path in tmp_path.iterdir() if path.name.endswith(".old")]
        assert content_of(out if call == 1 else aside[0]) == old
    else:
        assert {path: content for path, content in content_of(out).items() if "Cache" not in path} == FILES


def test_a_swap_that_fails_keeps_the_old_profile_with_its_caches(
    snapshot_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form, out = Form("hot", tmp_path), tmp_path / "out"
    body, real = form.pack(snapshot_dir), placing.sync_directory
    write_files(out, OLD)

    def fails_at_the_end(path: Path) -> None:
        if path == tmp_path:
            raise OSError(28, "No space left on device")
        real(path)

    monkeypatch.setattr(placing, "sync_directory", fails_at_the_end)
    with pytest.raises(UnavailableError):
        unpack(form, body, out, "Default/Cache")
    assert content_of(out) == OLD
