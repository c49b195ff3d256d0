"""The same tests on every S3 server, and a scripted one for the answers that no real server can be made to give."""

import contextlib
import hashlib
import io
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from daemon.core.ids import new_id
from daemon.objectstore.body import Body
from daemon.objectstore.catalogue import Catalogue
from daemon.objectstore.config import ObjectStoreConfig, StoreTimeouts
from daemon.objectstore.store import ObjectStore
from tests.servers.s3 import S3Server

_PIECE_BYTES = 1 << 16

SHORT = StoreTimeouts(connect_s=0.5, read_s=0.5, transfer_s=1.0, tries=2, backoff_s=0.01, check_s=0.3)


@pytest.fixture(params=["swift", "r2local", "r2local_tls"])
def server(request: pytest.FixtureRequest) -> S3Server:
    """Each server in turn."""
    found: S3Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def config(server: S3Server) -> ObjectStoreConfig:
    """How to reach it."""
    return server.config()


@pytest.fixture
def store(config: ObjectStoreConfig) -> ObjectStore:
    """Its bucket, which other tests use too."""
    return ObjectStore(config)


@pytest.fixture
def catalogue(store: ObjectStore) -> Catalogue:
    """The archives in it."""
    return Catalogue(store, lambda size_bytes: 60)


def md5_of(content: bytes) -> str:
    """The MD5 in hexadecimal, as stores have it in ETags."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def body_of(content: bytes, *, limit_s: float = 60) -> Body:
    """These bytes, ready to be sent."""
    return Body(
        io.BytesIO(content),
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        md5=md5_of(content),
        limit_s=limit_s,
    )


def received(store: ObjectStore, key: str, size_bytes: int) -> bytes:
    """An object's bytes; whatever goes wrong, no file is left."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "object")
        try:
            store.get(key, path, size_bytes=size_bytes)
        except BaseException:
            assert not path.exists(), "a file of a failed transfer was left"
            raise
        assert path.stat().st_mode & 0o777 == 0o600
        return path.read_bytes()


@pytest.fixture
def prefix() -> str:
    """A place in the bucket that no other test uses."""
    return f"{new_id('test')}/"


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    """Threads for the asyncio side."""
    with ThreadPoolExecutor(4) as threads:
        yield threads


class Answer:
    """What the scripted server says: status, body, content type and further headers; or hang, or cut the line.

    `takes` bytes of the request are read before it answers, or cuts the line if `unanswered`; `slow_s` it pauses
    after each piece of 64 KiB that it reads or writes.
    """

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        content_type: str = "application/xml",
        *,
        hang: bool = False,
        cut: bool = False,
        takes: int | None = None,
        unanswered: bool = False,
        slow_s: float = 0.0,
        **headers: str,
    ) -> None:
        self.status, self.body, self.content_type = status, body, content_type
        self.hang, self.cut, self.takes, self.unanswered, self.slow_s = hang, cut, takes, unanswered, slow_s
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def s3_error(status: int, code: str) -> Answer:
    """An error as S3 words it."""
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message><Resource>/r</Resource></Error>"
    return Answer(status, text.encode())


class Scripted:
    """A server that gives its answers one after another, the last one for ever, and notes what was asked.

    `bodies` are the MD5s of the request bodies, None of one that was not read whole.
    """

    def __init__(self, answers: list[Answer]) -> None:
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[str | None] = []
        self.released = threading.Event()
        self._answers = answers
        outer = self

        class Room(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                outer.asked.append((self.command, self.path))
                said = outer._answers[min(len(outer.asked), len(outer._answers)) - 1]
                outer.bodies.append(self.take(said))
                if said.hang or said.unanswered:
                    outer.released.wait(30 if said.hang else 0)
                    self.close_connection = True
                    return
                self.send_response(said.status)
                length = said.headers.get("Content-Length", str(len(said.body)))
                headers = {"Content-Type": said.content_type, **said.headers, "Content-Length": length}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.give(said)
                if said.cut or said.takes is not None:
                    self.wfile.flush()
                    self.close_connection = True

            def take(self, said: Answer) -> str | None:
                length = int(self.headers.get("Content-Length") or 0)
                left = length if said.takes is None else min(length, said.takes)
                digest = hashlib.md5(usedforsecurity=False)
                while left and (piece := self.rfile.read(min(_PIECE_BYTES, left))):
                    digest.update(piece)
                    left -= len(piece)
                    outer.pause(said.slow_s)
                return digest.hexdigest() if not left and said.takes is None else None

            def give(self, said: Answer) -> None:
                with contextlib.suppress(OSError):
                    for start in range(0, len(said.body), _PIECE_BYTES):
                        self.wfile.write(said.body[start : start + _PIECE_BYTES])
                        outer.pause(said.slow_s)

            do_GET = do_PUT = do_HEAD = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Room)
        self._server.daemon_threads = True
        # A large window would take a whole body at once, however slowly it is read.
        self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE_BYTES)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def pause(self, seconds: float) -> None:
        """Be slow, unless the test is over."""
        if seconds:
            self.released.wait(seconds)

    @property
    def config(self) -> ObjectStoreConfig:
        """How to reach it, with short limits."""
        return ObjectStoreConfig(
            endpoint=f"http://127.0.0.1:{self._server.server_port}",
            access_key="access",
            secret_key="a-secret-of-tests",
            bucket="bucket",
            timeouts=SHORT,
        )

    def close(self) -> None:
        """Let hanging answers go and stop."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


Script = Callable[..., Scripted]


@pytest.fixture
def scripted() -> Iterator[Script]:
    """Start servers that give these answers."""
    with contextlib.ExitStack() as running:

        def start(*answers: Answer) -> Scripted:
            server = Scripted(list(answers))
            running.callback(server.close)
            return server

        yield start


def with_wrong(config: ObjectStoreConfig, **changes: str) -> ObjectStoreConfig:
    """The same server, reached wrongly."""
    return replace(config, timeouts=SHORT, **changes)  # type: ignore[arg-type]  # only text fields are changed
