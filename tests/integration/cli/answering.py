"""A server in the coordinator's place that answers what a test says, also what no coordinator ever would."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from click.testing import CliRunner, Result

from daemon.cli.root import main

SESSIONS = "/api/whatsapp/sessions"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer. `chunks` come after the body, each when the iterator gives it."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: Iterable[bytes] = ()


def told(body: object, status: int = 200, **headers: str) -> Answer:
    """Return an answer in JSON."""
    return Answer(status=status, body=json.dumps(body).encode(), headers=headers)


def problem(status: int, code: str, *, headers: Mapping[str, str] | None = None, **more: object) -> Answer:
    """Return a problem as the coordinator answers it."""
    body = {"type": f"urn:blazz:error:{code}", "status": status, "code": code, "detail": f"no: {code}", **more}
    kind = "application/problem+json"
    return Answer(status=status, body=json.dumps(body).encode(), kind=kind, headers=headers or {})


def session(session_id: str = "s", status: str = "connected", **more: object) -> dict[str, Any]:
    """Return a session as the API shows it, as far as the commands look."""
    return {"session_id": session_id, "status": status, "reason": None, "token": 1, "created": True, **more}


@dataclass
class Server:
    """What it was asked, and what it answers: the answers of a test in turn, the last one again and again."""

    answer: Callable[[str, str], Answer] = field(default_factory=lambda: lambda _method, _path: Answer(status=404))
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answers(self, **paths: "list[Answer]") -> None:
        """Answer by the last part of the path, each list in turn; `_` is for any other."""
        left = {name: list(these) for name, these in paths.items()}

        def answer(_: str, path: str) -> Answer:
            these = left.get(path.partition("?")[0].rpartition("/")[2].replace("-", "_")) or left["_"]
            return these.pop(0) if len(these) > 1 else these[0]

        self.answer = answer

    def blazz(self, *words: str, **environment: str) -> Result:
        """Run a command against it."""
        env = {"BLAZZ_URL": self.url, "BLAZZ_TOKEN": "a-token", "COLUMNS": "200", **environment}
        return CliRunner(env=env).invoke(main, words)


@contextmanager
def answering() -> Iterator[Server]:
    """Run it for as long as the block lasts."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            server.asked.append(f"{self.command} {self.path}")
            answer = server.answer(self.command, self.path)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Connection", "close")
            for name, value in answer.headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            try:
                self.wfile.write(answer.body)
                for chunk in answer.chunks:
                    self.wfile.write(chunk)
                    self.wfile.flush()
            except OSError:
                pass  # the command has ended
            self.close_connection = True

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
