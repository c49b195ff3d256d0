"""One restore of all sessions of an installation, as its logs and its processes tell it."""

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import click

PHASES = ("fetch", "verify", "unpack", "launch", "inject", "load", "login", "sync")
_BACK = "session restored"
_BAD = {"error", "critical"}


@dataclass(frozen=True, kw_only=True)
class Restored:
    """Times in seconds since the order to start the shards."""

    sessions: int
    usable_s: list[float] = field(repr=False)
    """When each session was connected, in order."""
    phases_ms: dict[str, list[int]] = field(repr=False)
    """Of each session, by the product's own log."""
    sources: dict[str, int]
    """How many came from where."""
    cpu_s: dict[str, float]
    """Processor time until the last was connected, by kind of process."""
    pss_mb: dict[str, float]
    """Memory at rest, by kind of process."""
    failures: list[str]
    """What the logs say went wrong."""
    elsewhere: dict[str, int] = field(default_factory=dict)
    """In what states, other than connected, how many were a moment after the last one was connected."""
    files_mb: float = 0.0
    """What all profiles have on the disk, or in memory if that is where they lie."""

    @classmethod
    def of(
        cls,
        lines: Iterable[dict[str, Any]],
        began: datetime,
        sessions: int,
        *,
        cpu_s: dict[str, float],
        pss_mb: dict[str, float],
        elsewhere: dict[str, int] | None = None,
        files_mb: float = 0.0,
    ) -> Self:
        """Sum up the lines of all shards' logs.

        Raises:
            click.ClickException: they say of no session that it came back.
        """
        lines = list(lines)
        back = list(_first_of_each(line for line in lines if line.get("event") == _BACK))
        failures = [_said(line) for line in lines if line.get("level") in _BAD]
        if not back:
            raise click.ClickException(f"no session came back; the logs say: {failures[:5] or 'nothing'}")
        sources = [line["source"] for line in back]
        return cls(
            sessions=sessions,
            usable_s=sorted((datetime.fromisoformat(line["timestamp"]) - began).total_seconds() for line in back),
            phases_ms={name: [line["phases_ms"].get(name, 0) for line in back] for name in PHASES},
            sources={source: sources.count(source) for source in sorted(set(sources))},
            cpu_s=cpu_s,
            pss_mb=pss_mb,
            failures=failures,
            elsewhere=elsewhere or {},
            files_mb=files_mb,
        )

    @property
    def lost(self) -> int:
        """How many were not connected again, or did not stay so."""
        return max(0, self.sessions - self.connected) + sum(self.elsewhere.values())

    @property
    def connected(self) -> int:
        """How many were connected again."""
        return len(self.usable_s)

    @property
    def wall_s(self) -> float:
        """When the last one was connected."""
        return max(self.usable_s)

    @property
    def median_s(self) -> float:
        """When half of them were."""
        return statistics.median(self.usable_s)

    @property
    def cpu_s_each(self) -> float:
        """Processor time of browsers and shards for each session."""
        return self.cpu_s["browsers"] / self.sessions + self.cpu_s["shards"] / self.sessions

    @property
    def pss_mb_each(self) -> float:
        """Memory of a session's browser, and its share of its shard."""
        return (self.pss_mb["browsers"] + self.pss_mb["shards"]) / self.sessions


class LogTail:
    """The lines of JSON that come into a log from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = path.stat().st_size if path.exists() else 0

    def new(self) -> list[dict[str, Any]]:
        """Return the complete lines that came since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        return [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]


def _first_of_each(lines: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Return the first line of each session: one that was restored twice is back once."""
    seen: set[str] = set()
    for line in lines:
        if line["session_id"] not in seen:
            seen.add(line["session_id"])
            yield line


def back_in(lines: Iterable[dict[str, Any]]) -> set[str]:
    """Return the sessions that these lines say are restored."""
    return {line["session_id"] for line in lines if line.get("event") == _BACK}


def _said(line: dict[str, Any]) -> str:
    return f"{line.get('session_id', line.get('process'))}: {line.get('event')} ({line.get('code', line['level'])})"
