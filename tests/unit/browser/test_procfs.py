"""What /proc says of a process that works, that waits, and that is none."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from shards.browser.procfs import is_busy


@contextmanager
def _python(code: str) -> Iterator[int]:
    """Run a Python of its own for a block, from when it has said a line; give its process id."""
    code = f"print(flush=True)\n{code}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def test_a_process_that_waits_is_not_busy() -> None:
    with _python("import time; time.sleep(60)") as pid:
        deadline_mono_s = time.monotonic() + 10
        while is_busy(pid) and time.monotonic() < deadline_mono_s:
            time.sleep(0.01)
        assert [is_busy(pid) for _ in range(5)] == [False] * 5


def test_one_thread_that_works_makes_its_process_busy() -> None:
    works = "import threading, time\ndef work():\n while time.monotonic() < end: pass\nend = time.monotonic() + 30"
    with _python(f"{works}\nthreading.Thread(target=work).start()\ntime.sleep(30)") as pid:
        time.sleep(0.3)
        assert sum(is_busy(pid) for _ in range(20)) >= 15


def test_a_process_that_has_gone_is_not_busy() -> None:
    with _python("") as pid:
        pass
    assert not is_busy(pid)
