"""Digests of snapshot files: what is read, what is known already, and what is forgotten."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.core.errors import SnapshotError
from shards.profile import digests
from shards.profile.digests import Digests


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read, in order."""
    names: list[str] = []
    real = os.open

    def seen(path: Path, flags: int) -> int:
        names.append(Path(path).name)
        return real(path, flags)

    monkeypatch.setattr(digests.os, "open", seen)
    return names


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(digests, "_SETTLED_NS", -(10**12))
    yield


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files(root: Path, **content: bytes) -> Path:
    root.mkdir(exist_ok=True)
    for name, body in content.items():
        (root / name).write_bytes(body)
    return root


def test_each_file_is_digested(tmp_path: Path) -> None:
    root = files(tmp_path / "one", a=b"a" * 1_000_000, b=b"")
    assert Digests().of(root, ["a", "b"]) == {"a": sha256(b"a" * 1_000_000), "b": sha256(b"")}


def test_a_hard_link_to_what_was_read_is_not_read_again_and_a_copy_is(tmp_path: Path, read: list[str]) -> None:
    known, one, two = Digests(), files(tmp_path / "one", table=b"t", log=b"l"), files(tmp_path / "two", log=b"l")
    known.of(one, ["table", "log"])
    os.link(one / "table", two / "table")
    read.clear()
    assert known.of(two, ["table", "log"]) == {"table": sha256(b"t"), "log": sha256(b"l")}
    assert read == ["log"]


@pytest.mark.parametrize("change", [b"tt", b"u"])
def test_a_file_of_another_size_or_time_is_read_again(tmp_path: Path, change: bytes) -> None:
    known, root = Digests(), files(tmp_path / "one", table=b"t")
    known.of(root, ["table"])
    (root / "table").write_bytes(change)
    os.utime(root / "table", ns=(5, 5))
    assert known.of(root, ["table"]) == {"table": sha256(change)}


def test_what_the_last_call_did_not_name_is_forgotten(tmp_path: Path, read: list[str]) -> None:
    known, root = Digests(), files(tmp_path / "one", a=b"a", b=b"b")
    known.of(root, ["a", "b"])
    known.of(root, ["a"])
    read.clear()
    known.of(root, ["a", "b"])
    assert read == ["b"]


def test_a_file_that_could_still_change_unseen_is_read_again(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_SETTLED_NS", 10**12)
    known, root = Digests(), files(tmp_path / "one", a=b"a")
    known.of(root, ["a"])
    (root / "a").write_bytes(b"b")
    assert known.of(root, ["a"]) == {"a": sha256(b"b")}
    assert read == ["a", "a"]


def test_a_file_that_cannot_be_read_is_a_typed_error_and_nothing_is_forgotten(tmp_path: Path, read: list[str]) -> None:
    known, root = Digests(), files(tmp_path / "one", a=b"a")
    known.of(root, ["a"])
    (root / "link").symlink_to("a")
    (root / "dir").mkdir()
    os.mkfifo(root / "pipe")
    for path in ("gone", "link", "dir", "pipe"):
        with pytest.raises(SnapshotError):
            known.of(root, ["a", path])
    read.clear()
    known.of(root, ["a"])
    assert read == []
