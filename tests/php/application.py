"""A Laravel application made of the documented files, run by real PHP: web server, queue worker, and a console."""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from daemon.embedded.parent import die_with_parent
from tests.php.documented import blocks
from tests.servers.child import end, free_ports, running

SKELETON = Path(__file__).parent / "laravel"
WEBHOOK_PATH = "/webhooks/whatsapp"
Json = dict[str, Any]


class Thrown(Exception):
    """What the PHP code threw: `kind` without namespace, `kinds` with the classes above it, `facts` of the problem."""

    def __init__(self, facts: Json) -> None:
        super().__init__(f"{facts['class']}: {facts['text']}")
        self.facts = facts
        self.kinds = [name.rpartition("\\")[2] for name in (facts["class"], *facts["parents"])]
        self.kind = self.kinds[0]


class Console:
    """A PHP process that has the application booted and answers questions, one after another."""

    def __init__(self, home: Path, env: Mapping[str, str]) -> None:
        self._log = (home / "console.log").open("ab")
        self._child = subprocess.Popen(
            ["php", "ask.php"],
            cwd=home,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        assert self._line() == "ready"

    def call(self, method: str, *, tries: int = 3, **arguments: Any) -> Any:
        """Call a method of the documented client with named arguments; raises Thrown."""
        return self._ask({"call": method, "with": arguments, "tries": tries})

    def run(self, code: str) -> Any:
        """Run PHP statements in the application and return what they return; raises Thrown."""
        return self._ask({"run": code})

    def end(self) -> None:
        """End the process."""
        end(self._child)
        self._log.close()

    def _ask(self, question: Json) -> Any:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(question) + "\n")
        self._child.stdin.flush()
        answer = json.loads(self._line())
        if "thrown" in answer:
            raise Thrown(answer["thrown"])
        return answer["value"]

    def _line(self) -> str:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        assert line, f"PHP ended: {Path(self._log.name).read_text()[-3000:]}"
        return line.strip()


class LaravelApplication:
    """The documented files in the skeleton of an application in `home`, with its tables made."""

    def __init__(self, home: Path, *, url: str, token: str, secrets: str, **settings: str) -> None:
        self.home = home
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "BLAZZ_URL": url,
            "BLAZZ_TOKEN": token,
            "BLAZZ_WEBHOOK_SECRETS": secrets,
            **settings,
        }
        shutil.copytree(SKELETON, home, dirs_exist_ok=True)
        for block in blocks():
            if block.path is not None:
                path = home / block.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.code)
        for name in (
            "bootstrap/cache",
            "storage/logs",
            "storage/app",
            "storage/framework/cache",
            "storage/framework/views",
        ):
            (home / name).mkdir(parents=True, exist_ok=True)
        (home / "database/database.sqlite").touch()
        with closing(self._database()) as database:
            database.execute("PRAGMA journal_mode=wal")
        self.artisan("migrate", "--force")

    def artisan(self, *words: str) -> str:
        """Run a command of the application to its end and return what it printed."""
        done = subprocess.run(
            ["php", "artisan", *words], cwd=self.home, env=self.env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done.stdout

    def work(self, *, jobs: int = 0) -> None:
        """Run the jobs that are due now, or the first of them."""
        self.artisan("queue:work", "--stop-when-empty", "--sleep=0", f"--max-jobs={jobs}")

    def rows(self, query: str, *values: object) -> list[Json]:
        """Return the rows of a query on the application's database."""
        with closing(self._database()) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query, values)]

    def change(self, *statements: str) -> None:
        """Run statements on the application's database, as time or a crash would have it."""
        with closing(self._database()) as database, database:
            for statement in statements:
                database.execute(statement)

    def logs(self) -> str:
        """Return what Laravel logged."""
        return "\n".join(path.read_text() for path in (self.home / "storage/logs").glob("*.log"))

    @contextmanager
    def console(self) -> Iterator[Console]:
        """Boot the application in a process that answers questions."""
        console = Console(self.home, self.env)
        try:
            yield console
        finally:
            console.end()

    @contextmanager
    def served(self, port: int | None = None, **settings: str) -> Iterator[str]:
        """Serve it with PHP's built-in web server; gives the address."""
        address = f"127.0.0.1:{port or free_ports(1)}"
        public = self.home / "public"
        command = ["php", "-S", address, "-t", public, public / "index.php"]
        with running(command, env={**self.env, **settings}, ready="Development Server"):
            yield f"http://{address}"

    @contextmanager
    def working(self) -> Iterator[None]:
        """Run a queue worker beside."""
        command = ["php", "artisan", "queue:work", "--sleep=0.05", "--verbose"]
        with (self.home / "worker.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd=self.home,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            yield
        finally:
            end(child)

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.home / "database/database.sqlite", timeout=10)
