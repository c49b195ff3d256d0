"""Damage of every kind to every form: a typed error each time, never a wrong profile, never another exception."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.core.errors import ArchiveDamagedError
from shards.archive.head import read_head
from shards.archive.hot import unpack_hot
from shards.archive.manifest import Manifest
from shards.archive.unpack import unpack
from tests.unit.archive.conftest import ANY, HERE, LIMITS, Form, content_of, write_files

SMALL = {"Default/IndexedDB/x.indexeddb.leveldb/CURRENT": b"MANIFEST-000001\n", "overlay.json": b"{}"}
MEDIUM = {f"Default/IndexedDB/x.indexeddb.leveldb/{n:06}.ldb": os.urandom(70_000) + b"more" * 9000 for n in range(6)}
"""More than one chunk of the envelope."""


def opener(form: Form, tmp_path: Path) -> tuple[Callable[[bytes], Manifest], Path]:
    """Return how to unpack, writing the source in place, as thousands of files would be slow."""
    source, into = tmp_path / "source", tmp_path / "out"
    source.touch()

    def from_file(body: bytes) -> Manifest:
        source.write_bytes(body)
        return unpack(source, into, limits=LIMITS, keyring=form.keyring, expected=ANY, work_dir=tmp_path)

    def from_memory(body: bytes) -> Manifest:
        return unpack_hot(body, into, limits=LIMITS, keyring=form.keyring, expected=ANY)

    return (from_memory if "hot" in form.name else from_file), into


def test_every_single_bit_and_every_truncation_of_a_copy_is_damage(form: Form, tmp_path: Path) -> None:
    body = form.pack(write_files(tmp_path / "snapshot", SMALL))
    assert len(body) < 2000
    unpacked, into = opener(form, tmp_path)
    unpacked(body)
    kept = content_of(into)
    assert kept == SMALL
    around = sorted(os.listdir(tmp_path))
    for at in range(len(body) * 8):
        changed = bytearray(body)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(ArchiveDamagedError):
            unpacked(bytes(changed))
    for length in range(len(body)):
        with pytest.raises(ArchiveDamagedError):
            unpacked(body[:length])
    assert content_of(into) == kept and sorted(os.listdir(tmp_path)) == around


def test_a_damaged_head_is_another_head_or_a_typed_error(form: Form, tmp_path: Path) -> None:
    body = form.pack(write_files(tmp_path / "snapshot", SMALL))
    wrong = 0
    for at in range(len(body) * 8):
        changed = bytearray(body)
        changed[at // 8] ^= 1 << at % 8
        try:
            wrong += read_head(bytes(changed)) != read_head(body)
        except ArchiveDamagedError:
            continue
    assert form.name == "hot" or form.name == "zip" or wrong == 0, "an envelope knows damage to its head"
    for length in range(len(body)):
        try:
            assert read_head(body[:length]) == read_head(body)
        except ArchiveDamagedError:
            continue


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(data=st.data())
def test_any_damage_to_a_larger_copy_is_found(form: Form, tmp_path: Path, data: st.DataObject) -> None:
    packed = tmp_path / "packed"
    if not packed.exists():
        packed.write_bytes(form.pack(write_files(tmp_path / "snapshot", MEDIUM)))
    body = packed.read_bytes()
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(body))] * 2)))
    damaged = data.draw(
        st.sampled_from(
            [
                body[:start],
                body + body[start:end] + b"x",
                body[:start] + body[start + 1 :],
                body[:start] + b"x" + body[start:],
                body[:start] + body[start:end] + body[start:end] + b"x" + body[end:],
                body[:start] + bytes(byte ^ 0x55 for byte in body[start : start + 40]) + body[start + 40 :],
            ]
        )
    )
    if damaged == body:
        return
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(ArchiveDamagedError):
        form.unpack(damaged, tmp_path / "out", expected=HERE)
    assert sorted(os.listdir(tmp_path)) == before
