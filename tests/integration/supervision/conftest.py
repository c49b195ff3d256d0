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
    _start(fresh)
    return fresh


@pytest.fixture(scope="module")
def shared() -> Iterator[House]:
    """The same, for all tests of a module: to start one costs ten times what most of them do in it."""
    with house() as made:
        _start(made)
        yield made


def _start(made: House) -> None:
    launcher = made.up()
    until(lambda: "Ready at" in made.output() or launcher.poll() is not None, "the daemon is ready")
    assert launcher.poll() is None, made.output()
