"""Real PHP with Debian's Laravel. Where it is missing these tests fail: nothing may look tested that is not."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_NEEDED = (
    "require 'Illuminate/autoload.php'; require 'GuzzleHttp/autoload.php'; new PDO('sqlite::memory:'); curl_init();"
    "if (! in_array('mysql', PDO::getAvailableDrivers())) { echo 'pdo_mysql'; exit(1); }"
)


@pytest.fixture(scope="session", autouse=True)
def php() -> None:
    """Fail unless PHP, Laravel and Guzzle are there."""
    if shutil.which("php") is None:
        pytest.fail("there is no PHP: bin/setup --tests installs it")
    code = f"error_reporting(E_ALL & ~E_DEPRECATED); {_NEEDED}"
    done = subprocess.run(["php", "-r", code], capture_output=True, text=True, timeout=30)
    if done.returncode:
        pytest.fail(f"a PHP package is missing, bin/setup --tests installs it: {done.stdout[:500]}{done.stderr[:500]}")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A short directory of the file's own."""
    path = Path(tempfile.mkdtemp(prefix="p"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
