"""How long each step of a session's start takes, for the log: where the time went is asked at night."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from daemon.core.clock import mono_s

FETCH, VERIFY, UNPACK = "fetch", "verify", "unpack"
LAUNCH, INJECT, LOAD, LOGIN, SYNC = "launch", "inject", "load", "login", "sync"


class Phases:
    """The steps so far, each in seconds; a step that was made twice counts as both."""

    def __init__(self) -> None:
        self._took_s: dict[str, float] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[Callable[[str], None]]:
        """Count the block as the step `name`, however it ends; calling what is yielded begins the step that follows."""
        began_mono_s = mono_s()

        def follow(by: str) -> None:
            nonlocal name, began_mono_s
            self.add(name, mono_s() - began_mono_s)
            name, began_mono_s = by, mono_s()

        try:
            yield follow
        finally:
            self.add(name, mono_s() - began_mono_s)

    def add(self, name: str, took_s: float) -> None:
        """Count so many seconds as the step `name`."""
        self._took_s[name] = self._took_s.get(name, 0.0) + took_s

    def ms(self) -> dict[str, int]:
        """Return the steps in milliseconds, in the order in which they were first made."""
        return {name: round(took_s * 1000) for name, took_s in self._took_s.items()}
