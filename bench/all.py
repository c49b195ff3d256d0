"""Runs the whole suite: `python -m bench.all [--quick] [--only restore,archive] [--render]`.

Every bench runs in a process of its own, one after another. What each found is written as JSON, and all of it together
as docs/performance.md with a picture for each. One that fails stops nothing; what it found before stays.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import click

from bench.performance import write_performance
from daemon.embedded.parent import die_with_parent

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"
DOCS = ROOT / "docs" / "performance.md"
COMMENTARY = ROOT / "bench" / "commentary.md"
_END_S = 90.0


@dataclass(frozen=True, kw_only=True)
class Part:
    """One bench of the suite. `arguments` are those of a full run; a quick one has only `always` and --quick."""

    name: str
    arguments: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    limit_s: float = 1800.0
    module: str = ""
    """Where it is, if not in bench/."""

    def command(self, to: Path, *, quick: bool) -> list[str]:
        """Return what runs it and writes what it found to `to`."""
        arguments = ("--quick",) if quick else self.arguments
        module = self.module or f"bench.{self.name}"
        return [sys.executable, "-m", module, "--json", str(to), *self.always, *arguments]


SUITE = (
    Part(name="restore", arguments=("--sessions", "100", "--tier", "r2", "--growth"), limit_s=3600),
    Part(name="restore_redis", module="bench.restore", always=("--tier", "redis"), arguments=("--repeats", "1")),
    Part(name="restore_mixed", module="bench.restore", always=("--tier", "mixed"), arguments=("--repeats", "1")),
    Part(name="restore_disk", module="bench.restore", always=("--disk",), arguments=("--repeats", "1")),
    Part(
        name="restore_simulated",
        module="bench.restore",
        always=("--engine", "simulated", "--tier", "mixed"),
        limit_s=3600,
        arguments=("--sessions", "3000", "--growth", "--repeats", "1"),
    ),
    Part(name="peers", arguments=("--sessions", "100", "--repeats", "1"), limit_s=3600),
    Part(name="archive"),
    Part(name="density", arguments=("--minutes", "2")),
    Part(name="snapshot"),
    Part(name="failover"),
    Part(name="messages"),
    Part(name="webhooks"),
    Part(name="load", arguments=("--rate", "40", "--duration", "60", "--sessions", "10")),
    Part(name="control_plane", arguments=("--sessions", "3000", "--shards", "20")),
    Part(name="placement"),
    Part(name="census"),
)


@click.command()
@click.option("--quick", is_flag=True, help="Only show that every bench works; writes nothing unless told where.")
@click.option("--only", default="", help="These benches, by comma.")
@click.option("--render", is_flag=True, help="Run nothing; write the page again from the results that there are.")
@click.option("--results", type=click.Path(file_okay=False, path_type=Path), help="Default: bench/results.")
@click.option("--docs", type=click.Path(dir_okay=False, path_type=Path), help="Default: docs/performance.md.")
def main(quick: bool, only: str, render: bool, results: Path | None, docs: Path | None) -> None:
    """Run the suite and write down what it found."""
    parts = _chosen(only)
    with ExitStack() as stack:
        if quick:
            nowhere = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-all-")))
            results, docs = results or nowhere / "results", docs or nowhere / "performance.md"
        results, docs = results or RESULTS, docs or DOCS
        failed = [] if render else run_suite(parts, results, quick=quick)
        write_performance([part.name for part in SUITE], results, COMMENTARY, docs)
        click.echo(f"written: {docs}", err=True)
    if failed:
        raise click.ClickException(f"failed: {', '.join(failed)}")


def _chosen(only: str) -> list[Part]:
    if not only:
        return list(SUITE)
    known = {part.name: part for part in SUITE}
    names = only.split(",")
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"no bench of the suite: {', '.join(unknown)}; there are {', '.join(known)}")
    return [part for part in SUITE if part.name in names]


def run_suite(parts: Sequence[Part], results: Path, *, quick: bool) -> list[str]:
    """Run the benches one after another; return the names of those that failed."""
    results.mkdir(parents=True, exist_ok=True)
    failed = []
    for number, part in enumerate(parts, 1):
        click.echo(f"[{number}/{len(parts)}] {part.name}", err=True)
        began_mono_s = time.monotonic()
        fault = _run_one(part, results, quick=quick)
        took_s = time.monotonic() - began_mono_s
        click.echo(f"[{number}/{len(parts)}] {part.name}: {fault or 'done'} after {took_s:.0f} s", err=True)
        if fault:
            failed.append(part.name)
    return failed


def _run_one(part: Part, results: Path, *, quick: bool) -> str:
    """Run a bench; return what went wrong, if anything did. Only what a good run found replaces what is there."""
    with tempfile.TemporaryDirectory(prefix="bench-all-") as work:
        found = Path(work) / f"{part.name}.json"
        child = subprocess.Popen(
            part.command(found, quick=quick),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            # A session of its own: it is told to end once, by us, and not a second time by the terminal.
            start_new_session=True,
            preexec_fn=_interruptible,
        )
        try:
            code = child.wait(part.limit_s)
        except subprocess.TimeoutExpired:
            return f"not done within {part.limit_s:.0f} s"
        finally:
            _end(child)
        if code:
            return f"FAILED with exit code {code}"
        if not found.exists():
            return "FAILED: it wrote nothing"
        shutil.move(found, results / found.name)
        return ""


def _interruptible() -> None:
    """In the child: take SIGINT, also where we were started to ignore it, and get it when our parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    die_with_parent(signal.SIGINT)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Have a bench clean up behind itself, as after Ctrl-C, and end what it has left."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_END_S)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


if __name__ == "__main__":
    main()
