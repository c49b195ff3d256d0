"""The runner of the whole suite, on benches that measure nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from matplotlib.image import imread

import bench.all
from bench.all import SUITE, Part, run_suite

ROOT = Path(__file__).parents[2]
DUMMY = "tests.bench.dummy"


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = (
        Part(name="string", module=DUMMY, arguments=("--pieces", "3")),
        Part(name="torn", module=DUMMY, arguments=("--fail",)),
        Part(name="plain", module=DUMMY, arguments=("--undrawn",)),
    )
    monkeypatch.setattr(bench.all, "SUITE", parts)


def run(to: Path, *arguments: str) -> Result:
    places = ("--results", str(to / "results"), "--docs", str(to / "docs" / "speed.md"))
    return CliRunner().invoke(bench.all.main, [*places, *arguments])


def test_one_that_fails_stops_nothing_and_is_named_at_the_end(suite: None, tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "[1/3] string: done" in result.output
    assert "[2/3] torn: FAILED with exit code 1" in result.output
    assert "[3/3] plain: done" in result.output
    assert result.output.splitlines()[-1] == "Error: failed: torn"
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"string.json", "plain.json"}
    assert json.loads((tmp_path / "results" / "string.json").read_text())["options"]["pieces"] == 3


def test_the_page_has_what_was_found_and_says_what_was_not(suite: None, tmp_path: Path) -> None:
    run(tmp_path)
    text = (tmp_path / "docs" / "speed.md").read_text()
    assert "2 of 2 met." in text
    assert "![How long is a piece of string?](speed/string.png)" in text
    assert "speed/plain.png" not in text
    assert "Without a result: `torn`." in text
    assert imread(tmp_path / "docs" / "speed" / "string.png").shape[0] > 100


def test_a_failure_leaves_what_was_found_before(suite: None, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "torn.json").write_text("kept")
    assert run_suite([bench.all.SUITE[1]], tmp_path / "results", quick=False) == ["torn"]
    assert (tmp_path / "results" / "torn.json").read_text() == "kept"


def test_only_those_that_are_named_run(suite: None, tmp_path: Path) -> None:
    assert run(tmp_path, "--only", "string").exit_code == 0
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["string.json"]


def test_a_name_that_is_not_in_the_suite_is_refused(suite: None, tmp_path: Path) -> None:
    result = run(tmp_path, "--only", "string,rope")
    assert result.exit_code == 2
    assert "rope" in result.output


def test_the_page_is_made_again_without_running_anything(suite: None, tmp_path: Path) -> None:
    run(tmp_path, "--only", "string")
    page = tmp_path / "docs" / "speed.md"
    before = page.read_text()
    page.unlink()
    assert run(tmp_path, "--render").exit_code == 0
    assert page.read_text() == before


def test_a_quick_run_writes_into_neither_results_nor_docs(
    suite: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.all, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(bench.all, "DOCS", tmp_path / "performance.md")
    result = CliRunner().invoke(bench.all.main, ["--quick", "--only", "string"])
    assert result.exit_code == 0, result.output
    assert list(tmp_path.iterdir()) == []


def test_a_quick_run_has_no_argument_of_the_full_one(suite: None, tmp_path: Path) -> None:
    run(tmp_path, "--quick", "--only", "string")
    found = json.loads((tmp_path / "results" / "string.json").read_text())
    assert found["quick"] is True
    assert found["options"]["pieces"] == 2
    assert "A quick run" in (tmp_path / "docs" / "speed.md").read_text()


def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    began_s = time.monotonic()
    assert run_suite(
        [Part(name="string", module=DUMMY, arguments=("--hang",), limit_s=0.1)], tmp_path, quick=False
    ) == ["string"]
    assert time.monotonic() - began_s < 30


def test_interrupted_it_lets_the_bench_clean_up(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from bench.all import Part, run_suite;"
        f"part = Part(name='string', module='{DUMMY}', arguments=('--hang',));"
        f"run_suite([part], Path({str(tmp_path)!r}), quick=False)"
    )
    work = tmp_path / "work"
    work.mkdir()
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(work)},
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline_mono_s = time.monotonic() + 60
        while not list(work.glob("bench-*/hangs")):
            assert time.monotonic() < deadline_mono_s
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        child.wait(30)
    finally:
        child.kill()
        child.wait()
    assert list(work.iterdir()) == []


def test_every_bench_of_the_suite_has_a_test_that_runs_it() -> None:
    there = {path.stem for path in Path(__file__).parent.glob("test_quick_*.py")}
    assert there == {f"test_quick_{part.name}" for part in SUITE}


def test_every_bench_of_the_suite_is_explained() -> None:
    text = (ROOT / "bench" / "README.md").read_text()
    assert not [part.name for part in SUITE if f"\n**{part.name}**: " not in text]
