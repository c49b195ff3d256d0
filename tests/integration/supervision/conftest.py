"""Homes for the tests of this directory."""

from collections.abc import Iterator

import pytest

from tests.integration.supervision.house import House, house, until


@pytest.fixture
def fresh() -> Iterator[House]:
    """A home in which nothing runs yet."""
    with house() as made:
        yield made


@pytest.fixture
def running(fresh: House) -> House:
    """A home in which bin/up has said that it is ready."""
    launcher = fresh.up()
    until(lambda: "Ready at" in fresh.output() or launcher.poll() is not None, "the daemon is ready")
    assert launcher.poll() is None, fresh.output()
    return fresh
