"""Packing and unpacking belong together: what comes out is what went in, in every form."""

import dataclasses
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from daemon.core.errors import ArchiveDamagedError, ArchiveTooNewError, SnapshotError
from shards.archive.bounds import Expected
from shards.archive.head import Head, read_head
from shards.archive.hot import pack_hot
from shards.archive.pack import Packed, describe, pack
from shards.archive.unpack import read_manifest
from tests.unit.archive.conftest import (
    ANY,
    FILES,
    KEYS,
    LIMITS,
    PLAIN,
    Form,
    content_of,
    facts,
    manifest_json,
    seal,
    write_files,
)


def test_what_is_packed_is_unpacked(form: Form, snapshot_dir: Path, tmp_path: Path) -> None:
    body = form.pack(snapshot_dir)
    manifest = form.unpack(body, tmp_path / "out")
    assert manifest == describe(snapshot_dir, facts()) == form.verify(body)
    assert content_of(tmp_path / "out") == FILES
    assert sorted(os.listdir(tmp_path)) == ["out", "snapshot", "work"] and not os.listdir(form.work)


def test_only_its_owner_can_read_what_is_unpacked(form: Form, snapshot_dir: Path, tmp_path: Path) -> None:
    form.unpack(form.pack(snapshot_dir), tmp_path / "out")
    for path in (tmp_path / "out", *(tmp_path / "out").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_unpacking_replaces_what_is_there(form: Form, snapshot_dir: Path, tmp_path: Path) -> None:
    write_files(tmp_path / "out", {"old": b"profile"})
    form.unpack(form.pack(snapshot_dir), tmp_path / "out")
    assert content_of(tmp_path / "out") == FILES


def test_an_empty_snapshot_is_a_copy_too(form: Form, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert form.unpack(form.pack(tmp_path / "none"), tmp_path / "out").files == ()
    assert (tmp_path / "out").is_dir()


def test_a_head_is_read_without_a_key(form: Form, snapshot_dir: Path) -> None:
    body = form.pack(snapshot_dir)
    (form.work / "copy").write_bytes(body)
    head = read_head(body)
    assert head == read_head(form.work / "copy")
    assert head == Head(
        kind="hot" if "hot" in form.name else "archive", session_id="s-1", token=3, generation=4,
        key_id="k2" if form.sealed else None,
    )  # fmt: skip
    assert head.order == (3, 4)


def test_a_hot_copy_of_an_earlier_release_is_a_zip_and_still_read(
    archive: bytes, snapshot_dir: Path, tmp_path: Path
) -> None:
    form = Form("hot", tmp_path)
    assert read_head(archive).order == (3, 4)
    form.unpack(archive, tmp_path / "out", keyring=KEYS)
    assert content_of(tmp_path / "out") == FILES


def test_an_archive_of_an_earlier_release_is_still_read(tmp_path: Path) -> None:
    """It was written with the sizes in front of the files, as zipfile does when it can seek."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        made.comment = b"blazz-sha256:" + b"0" * 64
        made.writestr("manifest.json", manifest_json(sorted(FILES.items())))
        for path, content in sorted(FILES.items()):
            made.writestr("profile/" + path, content)
    Form("zip", tmp_path).unpack(seal(out.getvalue()), tmp_path / "out")
    assert content_of(tmp_path / "out") == FILES


def test_ordinary_tools_open_an_archive_and_the_manifest_comes_first(packed: Packed, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive.zip") as opened:
        assert opened.testzip() is None
        assert opened.namelist() == ["manifest.json", *(f"profile/{path}" for path in sorted(FILES))]
    tools = [[sys.executable, "-m", "zipfile", "-t"]] + [["unzip", "-t"]] * bool(shutil.which("unzip"))
    for tool in tools:
        ran = subprocess.run([*tool, tmp_path / "archive.zip"], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_digests_are_those_of_the_file(packed: Packed, archive: bytes) -> None:
    assert packed.size_bytes == len(archive) and packed.key_id is None
    assert packed.sha256 == hashlib.sha256(archive).hexdigest()
    assert packed.md5 == hashlib.md5(archive).hexdigest()


@pytest.mark.parametrize("name", ["zip", "hot"])
def test_equal_snapshots_give_equal_bytes(name: str, snapshot_dir: Path, tmp_path: Path) -> None:
    form = Form(name, tmp_path)
    first = form.pack(snapshot_dir)
    os.utime(snapshot_dir / "empty", (1, 1))
    assert form.pack(snapshot_dir) == first


def test_the_content_digest_knows_content_and_nothing_else(snapshot_dir: Path, tmp_path: Path, packed: Packed) -> None:
    manifest = describe(snapshot_dir, facts(token=9, generation=9, clean=True))
    later = pack(snapshot_dir, manifest, tmp_path / "later.zip", keyring=KEYS)
    assert later.content_digest == packed.content_digest and later.sha256 != packed.sha256
    os.rename(snapshot_dir / "empty", snapshot_dir / "renamed")
    renamed = pack(snapshot_dir, describe(snapshot_dir, facts()), tmp_path / "other.zip", keyring=PLAIN)
    assert renamed.content_digest != packed.content_digest


def test_files_whose_digest_is_known_are_not_read_again(snapshot_dir: Path, tmp_path: Path) -> None:
    manifest = describe(snapshot_dir, facts())
    known = {file.path: file.sha256 for file in manifest.files}
    assert describe(snapshot_dir, facts(), known=known) == manifest
    wrong = describe(snapshot_dir, facts(), known={"empty": "0" * 64})
    with pytest.raises(SnapshotError, match="changed"):
        pack(snapshot_dir, wrong, tmp_path / "archive.zip", keyring=PLAIN)


@pytest.mark.parametrize("content", [b"[]", b"", b"much more than there was", None])
def test_a_file_that_changes_while_it_is_packed_is_noticed(
    form: Form, snapshot_dir: Path, content: bytes | None
) -> None:
    manifest = describe(snapshot_dir, facts())
    (snapshot_dir / "overlay.json").unlink()
    if content is not None:
        (snapshot_dir / "overlay.json").write_bytes(content)
    with pytest.raises(SnapshotError):
        if "hot" in form.name:
            pack_hot(snapshot_dir, manifest, keyring=form.keyring, limit_bytes=10**6)
        else:
            pack(snapshot_dir, manifest, form.work / "archive.zip", keyring=form.keyring)
    assert not os.listdir(form.work)


def test_packing_never_touches_a_file_that_is_already_there(snapshot_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "archive.zip").write_bytes(b"another")
    with pytest.raises(SnapshotError):
        pack(snapshot_dir, describe(snapshot_dir, facts()), tmp_path / "archive.zip", keyring=PLAIN)
    assert (tmp_path / "archive.zip").read_bytes() == b"another"


@pytest.mark.parametrize("name", ["hot", "sealed-hot"])
def test_a_hot_copy_is_never_larger_than_its_limit(name: str, snapshot_dir: Path, tmp_path: Path) -> None:
    form, manifest = Form(name, tmp_path), describe(snapshot_dir, facts())
    size = len(form.pack(snapshot_dir))
    for limit, fits in ((size, True), (size - 1, False), (10, False), (0, False)):
        body = pack_hot(snapshot_dir, manifest, keyring=form.keyring, limit_bytes=limit)
        assert (body is not None) is fits and (body is None or len(body) == size)


def test_packing_a_hot_copy_gives_up_as_soon_as_it_is_too_large(tmp_path: Path) -> None:
    snapshot_dir = write_files(tmp_path / "snapshot", {"a": os.urandom(600_000), "b": b"x"})
    manifest = describe(snapshot_dir, facts())
    (snapshot_dir / "b").unlink()  # would be found missing if it came to that
    assert pack_hot(snapshot_dir, manifest, keyring=KEYS, limit_bytes=100_000) is None


@pytest.mark.parametrize(
    "expected", [Expected(session_id="s-2"), Expected(order=(3, 5)), Expected(order=(4, 4)), Expected(order=(4, 3))]
)
def test_a_copy_that_is_not_where_it_belongs_is_not_used(
    form: Form, snapshot_dir: Path, tmp_path: Path, expected: Expected
) -> None:
    body = form.pack(snapshot_dir)
    with pytest.raises(ArchiveDamagedError, match=r"another session|not the one"):
        form.unpack(body, tmp_path / "out", expected=expected)
    with pytest.raises(ArchiveDamagedError, match=r"another session|not the one"):
        form.verify(body, expected=expected)
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
    form: Form, snapshot_dir: Path, tmp_path: Path, here: str, refused: bool
) -> None:
    body, expected = form.pack(snapshot_dir), Expected(max_chromium=here)
    if refused:
        with pytest.raises(ArchiveTooNewError) as raised:
            form.unpack(body, tmp_path / "out", expected=expected)
        assert "156.0.8078.79" in raised.value.hint
    else:
        form.unpack(body, tmp_path / "out", expected=expected)
    assert (tmp_path / "out").exists() is not refused


@pytest.mark.parametrize("limits", [{"max_files": 4}, {"max_file_bytes": 9999}, {"max_total_bytes": 10_000},
                                    {"max_manifest_bytes": 100}])  # fmt: skip
def test_limits_hold(form: Form, snapshot_dir: Path, tmp_path: Path, limits: dict[str, int]) -> None:
    body = form.pack(snapshot_dir)
    with pytest.raises(ArchiveDamagedError):
        form.unpack(body, tmp_path / "out", limits=dataclasses.replace(LIMITS, **limits), expected=ANY)
    assert not (tmp_path / "out").exists()


def test_the_manifest_alone_is_read_from_archives(form: Form, snapshot_dir: Path) -> None:
    (form.work / "copy").write_bytes(form.pack(snapshot_dir))
    read = read_manifest(form.work / "copy", keyring=form.keyring, work_dir=form.work)
    assert read == describe(snapshot_dir, facts())
    assert os.listdir(form.work) == ["copy"]


def test_what_does_not_get_smaller_is_not_deflated_and_still_opens_everywhere(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    contents = {"media": os.urandom(300_000), "text": b"the same again and again " * 12_000}
    for name, content in contents.items():
        (tmp_path / "files" / name).write_bytes(content)
    pack(tmp_path / "files", describe(tmp_path / "files", facts()), tmp_path / "zip", keyring=PLAIN)
    with zipfile.ZipFile(tmp_path / "zip") as archive:
        assert archive.testzip() is None
        packed = {entry.filename: entry for entry in archive.infolist()}
        assert {name: archive.read(f"profile/{name}") for name in contents} == contents
    assert {entry.compress_type for entry in packed.values()} == {zipfile.ZIP_DEFLATED}
    assert packed["profile/media"].compress_size < 300_200
    assert packed["profile/text"].compress_size < 10_000
