"""Copies of single files, where links or clones can be made and where they cannot."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from shards.profile.copying import clone_or_copy, link_or_copy, replace_by_copy


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"content" * 100_000)
    path.chmod(0o640)
    os.utime(path, ns=(1, 2))
    return path


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)


def test_a_link_is_the_same_file(source: Path, tmp_path: Path) -> None:
    link_or_copy(source, tmp_path / "copy")
    assert (tmp_path / "copy").samefile(source)


@pytest.mark.usefixtures("no_links")
def test_without_links_it_is_a_file_of_its_own_with_the_same_facts(source: Path, tmp_path: Path) -> None:
    link_or_copy(source, tmp_path / "copy")
    copy, status = tmp_path / "copy", (tmp_path / "copy").stat()
    assert copy.read_bytes() == source.read_bytes() and not copy.samefile(source)
    assert (status.st_mtime_ns, status.st_mode) == (2, source.stat().st_mode)


def test_where_the_file_system_clones_nothing_is_copied(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(fcntl, "ioctl", lambda *call: calls.append(call) or 0)
    clone_or_copy(source, tmp_path / "copy")
    assert [code for _, code, _ in calls] == [0x40049409]
    assert (tmp_path / "copy").stat().st_size == 0, "the clone is the kernel's work"


def test_a_symbolic_link_is_never_followed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(OSError, match="symbolic links"):
        clone_or_copy(tmp_path / "link", tmp_path / "copy")


def test_a_link_becomes_a_file_of_its_own(source: Path, tmp_path: Path) -> None:
    link_or_copy(source, tmp_path / "copy")
    replace_by_copy(tmp_path / "copy", tmp_path / "copy")
    with source.open("ab") as file:
        file.write(b"more")
    assert (tmp_path / "copy").read_bytes() == b"content" * 100_000
    assert sorted(os.listdir(tmp_path)) == ["copy", "source"]


def test_when_the_source_has_gone_the_target_stays(source: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(b"taken before")
    source.unlink()
    with pytest.raises(FileNotFoundError):
        replace_by_copy(source, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"taken before"
    assert os.listdir(tmp_path) == ["copy"]
