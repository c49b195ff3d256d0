"""The webhook bench runs also without its steady part."""

import asyncio
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


async def test_the_bench_measures_without_a_steady_part(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    words = ("--events", "20", "--sessions", "2", "--steady", "0", "--repeats", "1", "--json", str(found))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.webhooks", *words, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
    )
    assert await asyncio.wait_for(process.wait(), 60) == 0
    content = json.loads(found.read_text())
    assert [(run["events"], run["lag_p50_ms"], run["out_of_order"]) for run in content["runs"]] == [(20, None, 0)] * 2
    assert content["command"] == "python -m bench.webhooks --events 20 --sessions 2 --steady 0.0 --repeats 1"
