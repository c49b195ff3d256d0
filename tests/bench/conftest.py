"""Runs benches as the suite does."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

ROOT = Path(__file__).parents[2]
_LIMIT_S = 400.0
_END_S = 100.0
Found = Mapping[str, Any]


@pytest.fixture
def quick(tmp_path: Path) -> Callable[[str], Found]:
    """Run `python -m bench.all --quick --only NAME` and check the form of what it wrote; return that."""

    def run(name: str) -> Found:
        page = tmp_path / "performance.md"
        _run("--quick", "--only", name, "--results", str(tmp_path), "--docs", str(page))
        found: Found = json.loads((tmp_path / f"{name}.json").read_text())
        assert found["quick"] is True
        assert found["failure"] == ""
        assert found["headlines"]
        assert found["tables"]
        assert {"cpu", "cores", "memory_gib", "blazz", "chromium"} <= found["machine"].keys()
        assert found["date"] in page.read_text()
        if found["charts"]:
            height, width, _ = imread(tmp_path / "performance" / f"{name}.png").shape
            assert min(height, width) >= 400
        return found

    return run


def _run(*arguments: str) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.all", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = child.communicate(timeout=_LIMIT_S)
    finally:
        if child.poll() is None:
            # As Ctrl-C: the bench ends what it has started.
            child.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                child.wait(_END_S)
            child.kill()
            child.wait()
    assert child.returncode == 0, output
