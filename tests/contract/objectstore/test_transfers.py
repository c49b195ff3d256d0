"""Archives on their way: in pieces, whole or not at all, and never for longer than their size allows."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from daemon.core.clock import mono_s, utc_now
from daemon.core.errors import (
    ArchiveDamagedError,
    BlazzError,
    DiskLowError,
    ObjectStoreRefusedError,
    ObjectStoreUnavailableError,
    UnavailableError,
)
from daemon.core.ids import new_id
from daemon.objectstore.archives import Archives
from daemon.objectstore.catalogue import ArchiveFacts, ArchiveRef
from daemon.objectstore.config import ObjectStoreConfig, StoreTimeouts
from daemon.objectstore.store import ObjectStore
from tests.contract.objectstore.conftest import Answer, Script, Scripted, body_of, md5_of, received, s3_error
from tests.servers.s3 import S3Server

LARGE = os.urandom(1 << 20) * 6
STORED_AT = "Mon, 23 Nov 2026 02:00:00 GMT"
STORED = Answer(200, b"", ETag=f'"{md5_of(LARGE)}"')
_REPOSITORY = Path(__file__).parents[3]


def put(config: ObjectStoreConfig, limit_s: float = 60) -> str:
    return ObjectStore(config).put_new("k", body_of(LARGE, limit_s=limit_s), metadata={}, content_type="a/b")


def holding(content: bytes, **more: object) -> Answer:
    """An object of this content."""
    return Answer(200, content, "a/b", ETag=f'"{md5_of(LARGE)}"', Content_Length=str(len(LARGE)), **more)  # type: ignore[arg-type]


def facts(session_id: str) -> ArchiveFacts:
    return ArchiveFacts(
        session_id=session_id, workspace_id="ws_1", user_id="42", token=1, generation=1, backed_up_at=utc_now(),
        sha256=sha256(LARGE).hexdigest(), clean=True, chromium="156.0.8078.79",
    )  # fmt: skip


REF = ArchiveRef(
    session_id="s", workspace_id="w", token=1, generation=1, key="k", size_bytes=len(LARGE), stored_at=utc_now()
)

_CHILD = """
import asyncio, hashlib, json, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from daemon.core.clock import utc_now
from daemon.objectstore.archives import Archives
from daemon.objectstore.catalogue import ArchiveFacts
from daemon.objectstore.config import ObjectStoreConfig

def peak_kib():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

async def both_ways(archives, folder, session_id, size_bytes):
    source, into = folder / f"out{size_bytes}", folder / f"in{size_bytes}"
    md5, sha = hashlib.md5(), hashlib.sha256()
    with source.open("wb") as file:
        for number in range(size_bytes >> 16):
            piece = number.to_bytes(4, "big") * (1 << 14)
            md5.update(piece); sha.update(piece); file.write(piece)
    facts = ArchiveFacts(session_id=session_id, workspace_id="w", user_id="u", token=1, generation=size_bytes,
        backed_up_at=utc_now(), sha256=sha.hexdigest(), clean=True, chromium="1")
    ref = await archives.store(facts, source, md5=md5.hexdigest())
    await archives.fetch(ref, into)
    with into.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == sha.hexdigest()
    await archives.delete(ref)
    source.unlink(), into.unlink()

async def main():
    given = json.loads(sys.argv[1])
    config = ObjectStoreConfig(**{**given["config"], "ca_file": given["ca_file"] and Path(given["ca_file"])})
    with ThreadPoolExecutor(2) as threads:
        archives = Archives(config, threads)
        await both_ways(archives, Path(given["folder"]), given["session_id"], 1 << 20)
        before = peak_kib()
        await both_ways(archives, Path(given["folder"]), given["session_id"], given["size_bytes"])
        print(peak_kib() - before)

asyncio.run(main())
"""


def test_an_archive_of_100_mb_takes_little_memory(server: S3Server, tmp_path: Path) -> None:
    """Sent and received in a process of its own, whose peak is measured."""
    given = {
        "config": {
            "endpoint": server.endpoint, "access_key": server.access_key, "secret_key": server.secret_key,
            "bucket": server.bucket, "path_prefix": server.path_prefix,
        },
        "ca_file": server.ca_file and str(server.ca_file),
        "folder": str(tmp_path),
        "session_id": new_id("s"),
        "size_bytes": 100 << 20,
    }  # fmt: skip
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps(given)], capture_output=True, text=True, cwd=_REPOSITORY, check=False
    )
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < 8 * 1024, "KiB above the peak of a small archive"


@pytest.mark.parametrize(
    "bad",
    [
        s3_error(503, "SlowDown"),
        Answer(hang=True),
        Answer(takes=1 << 20, unanswered=True),
        Answer(unanswered=True),
    ],
    ids=["503", "lost-answer", "cut-in-the-middle", "cut-at-the-end"],
)
def test_a_repeated_request_sends_the_whole_body_again(scripted: Script, bad: Answer) -> None:
    server = scripted(bad, bad, STORED)
    quick = StoreTimeouts(connect_s=0.5, read_s=0.3, min_bytes_per_s=1 << 30, tries=2, backoff_s=0.01)
    assert put(replace(server.config, timeouts=quick)) == md5_of(LARGE)
    assert [command for command, _ in server.asked] == ["PUT"] * 3
    assert server.bodies[-1] == md5_of(LARGE)


def test_of_a_large_body_whose_answer_was_lost_one_copy_is_stored(scripted: Script) -> None:
    head = Answer(200, b"", ETag=f'"{md5_of(LARGE)}"', Content_Length=str(len(LARGE)), Last_Modified=STORED_AT)
    server = scripted(Answer(unanswered=True), s3_error(412, "PreconditionFailed"), head)
    assert put(server.config) == md5_of(LARGE)
    assert [command for command, _ in server.asked] == ["PUT", "PUT", "HEAD"]


def test_a_large_body_again_is_no_error(store: ObjectStore, prefix: str) -> None:
    """A store may refuse it before it has read it all, and hang up."""
    for _ in range(3):
        etag = store.put_new(prefix + "a", body_of(LARGE), metadata={}, content_type="a/b")
        assert etag == md5_of(LARGE)


def test_a_body_that_arrived_though_every_answer_was_lost_is_stored(scripted: Script) -> None:
    cut = Answer(takes=1 << 20, unanswered=True)
    head = Answer(200, b"", ETag=f'"{md5_of(LARGE)}"', Content_Length=str(len(LARGE)), Last_Modified=STORED_AT)
    server = scripted(Answer(unanswered=True), cut, cut, head)
    assert put(server.config) == md5_of(LARGE)
    other = Answer(200, b"", ETag='"other"', Content_Length=str(len(LARGE)), Last_Modified=STORED_AT)
    for found in (other, s3_error(404, "NoSuchKey"), s3_error(403, "AccessDenied")):
        with pytest.raises(ObjectStoreUnavailableError):
            put(scripted(cut, cut, cut, found).config)


def test_an_answer_that_comes_before_the_body_was_taken_is_never_a_success(scripted: Script) -> None:
    denied = s3_error(403, "AccessDenied")
    denied.takes = 1000
    with pytest.raises((ObjectStoreRefusedError, ObjectStoreUnavailableError)):
        put(scripted(denied).config)


def test_a_store_that_holds_something_else_is_found_out(scripted: Script) -> None:
    with pytest.raises(ArchiveDamagedError):
        put(scripted(Answer(200, b"", ETag='"0123"')).config)


def test_a_line_that_needs_longer_than_the_connect_limit_may_take_its_time(scripted: Script) -> None:
    """urllib3's connect limit bounds each piece that is sent, not the body: it is 0.5 s, 6 MB take about 2 s here."""
    server = scripted(Answer(200, b"", slow_s=0.02, ETag=f'"{md5_of(LARGE)}"'))
    began_mono_s = mono_s()
    assert put(server.config) == md5_of(LARGE)
    assert mono_s() - began_mono_s > server.config.timeouts.connect_s * 2
    assert len(server.asked) == 1


def test_sending_that_is_too_slow_for_its_size_ends_and_is_not_repeated(scripted: Script) -> None:
    server = scripted(Answer(200, b"", slow_s=0.05, ETag=f'"{md5_of(LARGE)}"'))
    with pytest.raises(ObjectStoreUnavailableError, match="too slow"):
        put(server.config, limit_s=0.3)
    assert len(server.asked) == 1


def test_an_answer_may_take_as_long_as_the_rest_of_the_body(scripted: Script) -> None:
    """What the kernel still holds when all is handed over has to cross the line before there can be an answer."""
    times = StoreTimeouts(read_s=30, min_bytes_per_s=100_000)
    assert times.answer_limit_s(3_000_000) == 60
    assert times.answer_limit_s(3_000_000_000) < 150
    assert times.transfer_limit_s(300_000_000) == 120 + 3000
    server = scripted(Answer(200, b"", slow_s=0.01, ETag=f'"{md5_of(LARGE)}"'))
    patient = StoreTimeouts(connect_s=0.5, read_s=0.05, min_bytes_per_s=2_000_000, tries=0)
    assert put(replace(server.config, timeouts=patient)) == md5_of(LARGE)


def test_a_large_body_that_breaks_off_is_received_from_its_beginning(scripted: Script) -> None:
    server = scripted(holding(LARGE[: 5 << 20], cut=True), holding(LARGE))
    assert received(ObjectStore(server.config), "k", len(LARGE)) == LARGE
    server = scripted(holding(LARGE[: 5 << 20], cut=True))
    with pytest.raises(ObjectStoreUnavailableError, match="not received whole"):
        received(ObjectStore(server.config), "k", len(LARGE))
    assert len(server.asked) == 2


def test_a_body_that_stops_coming_is_received_again_once(scripted: Script) -> None:
    stalled = holding(LARGE, slow_s=0.7)
    with pytest.raises(ObjectStoreUnavailableError, match="not received whole"):
        received(ObjectStore(scripted(stalled).config), "k", len(LARGE))


def test_receiving_that_is_too_slow_for_its_size_ends_and_is_not_repeated(scripted: Script) -> None:
    server = scripted(holding(LARGE, slow_s=0.05))
    strict = replace(server.config.timeouts, transfer_s=0.3, min_bytes_per_s=1 << 30)
    with pytest.raises(ObjectStoreUnavailableError, match="too slow"):
        received(ObjectStore(replace(server.config, timeouts=strict)), "k", len(LARGE))
    assert len(server.asked) == 1


def test_other_bytes_of_the_right_size_are_damage(scripted: Script) -> None:
    flipped = bytearray(LARGE)
    flipped[len(LARGE) // 2] ^= 1
    answer = holding(bytes(flipped))
    answer.headers["x-amz-meta-sha256"] = sha256(LARGE).hexdigest()
    with pytest.raises(ArchiveDamagedError):
        received(ObjectStore(scripted(answer).config), "k", len(LARGE))


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """A disk of 1 MB, if this user may mount one."""
    with tempfile.TemporaryDirectory(prefix="disk-", dir="/tmp") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", folder]
        if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("may not mount")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_no_damage_and_leaves_no_file(scripted: Script) -> None:
    with small_disk() as folder:
        server = scripted(holding(LARGE))
        with pytest.raises(DiskLowError) as raised:
            ObjectStore(server.config).get("k", folder / "object", size_bytes=len(LARGE))
        assert isinstance(raised.value, UnavailableError) and raised.value.hint
        assert not list(folder.iterdir()) and len(server.asked) == 1


def test_a_file_in_the_way_stays_as_it_is(scripted: Script, tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(b"mine")
    for into in (tmp_path / "object", tmp_path / "no" / "object"):
        with pytest.raises(UnavailableError, match="local disk"):
            ObjectStore(scripted(holding(LARGE)).config).get("k", into, size_bytes=len(LARGE))
    assert (tmp_path / "object").read_bytes() == b"mine"


async def test_an_archive_file_that_is_gone_or_shrinks_is_not_the_stores_fault(
    scripted: Script, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    archives = Archives(scripted(STORED).config, executor)
    with pytest.raises(UnavailableError, match="cannot be read"):
        await archives.store(facts("s"), tmp_path / "none", md5=md5_of(LARGE))
    short = body_of(LARGE)
    short.size_bytes += 1
    with pytest.raises(UnavailableError, match="shorter"):
        ObjectStore(scripted(STORED).config).put_new("k", short, metadata={}, content_type="a/b")


async def _until(condition: Callable[[], bool]) -> None:
    deadline_mono_s = mono_s() + 10
    while not condition():
        assert mono_s() < deadline_mono_s
        await asyncio.sleep(0.01)


async def test_a_cancelled_transfer_ends_at_its_next_piece(scripted: Script, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(LARGE)

    async def check(server: Scripted, begin: Callable[[Archives], "asyncio.Future[object]"]) -> None:
        with ThreadPoolExecutor(1) as threads:
            call = begin(Archives(server.config, threads))
            await _until(lambda: len(server.asked) == 1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            began_mono_s = mono_s()
        # The thread has ended: not after the 3 s and more that the whole would take, and without a second try.
        assert mono_s() - began_mono_s < 1.5 and len(server.asked) == 1

    await check(
        scripted(Answer(200, b"", slow_s=0.05, ETag=f'"{md5_of(LARGE)}"')),
        lambda archives: asyncio.ensure_future(archives.store(facts("s"), tmp_path / "source", md5=md5_of(LARGE))),
    )
    await check(
        scripted(holding(LARGE, slow_s=0.05)),
        lambda archives: asyncio.ensure_future(archives.fetch(REF, tmp_path / "into")),
    )
    assert not (tmp_path / "into").exists()


def test_a_transfer_that_ended_badly_gives_its_connection_back(scripted: Script) -> None:
    """The pool has one connection here: the next call would wait for ever, or read the rest of the last one."""
    slow_put, slow_get = Answer(200, b"", slow_s=0.05, ETag=f'"{md5_of(LARGE)}"'), holding(LARGE, slow_s=0.05)
    server = scripted(slow_put, STORED, slow_get, holding(LARGE), holding(LARGE))
    strict = replace(server.config.timeouts, transfer_s=0.3, min_bytes_per_s=1 << 30)
    store = ObjectStore(replace(server.config, timeouts=strict, connections=1))
    with pytest.raises(ObjectStoreUnavailableError, match="too slow"):
        store.put_new("k", body_of(LARGE, limit_s=0.3), metadata={}, content_type="a/b")
    assert store.put_new("k", body_of(LARGE), metadata={}, content_type="a/b") == md5_of(LARGE)
    with pytest.raises(ObjectStoreUnavailableError, match="too slow"):
        received(store, "k", len(LARGE))
    assert received(store, "k", len(LARGE)) == LARGE
    with pytest.raises(ArchiveDamagedError):
        received(store, "k", 1)
    assert received(store, "k", len(LARGE)) == LARGE


def test_an_encoding_that_a_store_claims_is_not_undone(scripted: Script) -> None:
    """As of a zip that was uploaded with `Content-Encoding: gzip`, or `aws-chunked`, without being that."""
    for encoding in ("gzip", "aws-chunked"):
        server = scripted(holding(LARGE, Content_Encoding=encoding))
        assert received(ObjectStore(server.config), "k", len(LARGE)) == LARGE


def test_errors_of_transfers_tell_the_key_and_no_secret(scripted: Script) -> None:
    for call in (put, lambda config: received(ObjectStore(config), "k", len(LARGE))):
        with pytest.raises(BlazzError) as raised:
            call(scripted(s3_error(503, "SlowDown")).config)
        assert raised.value.ids["key"] == "k" and "a-secret-of-tests" not in str(raised.value)
