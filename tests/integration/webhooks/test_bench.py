"""The webhook bench runs also without its steady part."""

import asyncio
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


async def test_the_bench_measures_without_a_steady_part() -> None:
    words = ("--events", "20", "--sessions", "2", "--steady", "0", "--json")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.webhooks", *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    runs = json.loads(output)["runs"]
    assert [(run["events"], run["lag_p50_ms"], run["out_of_order"]) for run in runs] == [(20, None, 0)] * 2
