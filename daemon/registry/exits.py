"""Exit reports: what supervisord saw of a shard's end, so that nobody has to wait for its leases' TTL.

One report per shard, the newest, written by the event listener of the shard's host (shards/exits) after the shard's
browsers were seen dead. Where supervisord is not used there are none, and leases end by their TTL.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Self

import structlog

from daemon.core.clock import iso, parse_iso
from daemon.registry import keys
from daemon.registry.link import RedisLink
from daemon.registry.wakes import Wakes

log = structlog.get_logger()

_TTL_MS = 3600 * 1000
_RECENT_FOR = timedelta(minutes=10)
_RECENT_MAX = 8
_COOL_FIRST_S = 5.0
_COOL_MAX_S = 300.0


@dataclass(frozen=True, kw_only=True)
class ExitReport:
    """One end of one shard process."""

    shard: str
    holder_prefix: str
    """What the dead process's leases begin with; empty when nothing may be freed, because no proof was there."""
    host: str
    pid: int
    """The dead process, or 0 when supervisord does not say."""
    expected: bool
    """Whether it was told to stop, or ended by itself with an exit code that says so."""
    code_text: str
    """What supervisord saw, for people, as "stopped" or "exited unexpectedly"."""
    at: datetime
    recent: tuple[datetime, ...] = ()
    """When processes of this shard ended unexpectedly, this one included: oldest first, of the last 10 minutes."""

    def following(self, earlier: "ExitReport | None") -> Self:
        """Return this report with the unexpected exits that an earlier one of the same shard knew of.

        A shard that was told to stop starts anew: whoever did that has looked at it.
        """
        if self.expected:
            return replace(self, recent=())
        known = self.recent + (earlier.recent if earlier is not None else ())
        # As they are stored, so that a report that is written again is not counted again.
        times = {parse_iso(iso(time)) for time in known if self.at - time <= _RECENT_FOR}
        return replace(self, recent=tuple(sorted(times)[-_RECENT_MAX:]))

    def cools_until(self) -> datetime | None:
        """Return until when the shard should get no new sessions, or None if it did not crash lately.

        5 s after one crash, doubled for each further one of the last 10 minutes, at most 5 minutes.
        """
        if not self.recent:
            return None
        cooling_s = min(_COOL_MAX_S, _COOL_FIRST_S * 2.0 ** (len(self.recent) - 1))
        return self.recent[-1] + timedelta(seconds=cooling_s)


class Exits:
    """Exit reports in Redis."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._wakes = Wakes(link)

    async def report(self, report: ExitReport) -> None:
        """Write a report over the shard's last one, whose recent exits it keeps, and wake the coordinators.

        Only one process may write for one shard.

        Raises:
            RedisUnavailableError: it may or may not be there; report again.
        """
        async with self._link.asking("take an exit report"):
            stored = await self._link.text.get(keys.exit_report(report.shard))
            whole = report.following(report_from_text(stored))
            await self._link.text.set(keys.exit_report(report.shard), _body(whole), px=_TTL_MS)
        # After the report, so that whoever is woken finds it.
        await self._wakes.wake("shard_exit", shard=report.shard)

    async def all(self, names: Sequence[str]) -> dict[str, ExitReport]:
        """Return the last report of each of the shards that has one.

        Raises:
            RedisUnavailableError: nobody knows.
        """
        if not names:
            return {}
        async with self._link.asking("read exit reports"):
            pipe = self._link.text.pipeline(transaction=False)
            for name in names:
                pipe.get(keys.exit_report(name))
            answers = await pipe.execute()
        parsed = {name: report_from_text(body) for name, body in zip(names, answers, strict=True)}
        return {name: report for name, report in parsed.items() if report is not None}

    async def free_leases(self, session_ids: Sequence[str], holder_prefix: str) -> int:
        """Free those of the sessions' leases that the dead process held, in one round trip; return how many.

        `holder_prefix` is that of a report; with an empty one nothing is freed.

        Raises:
            RedisUnavailableError: some may be freed; free them again.
        """
        if not session_ids or not holder_prefix:
            return 0
        answers = await self._link.run_many(
            "free_dead_lease", [([keys.lease(session_id)], [holder_prefix]) for session_id in session_ids]
        )
        return sum(int(answer) for answer in answers)


def _body(report: ExitReport) -> str:
    times = {"at": iso(report.at), "recent": [iso(at) for at in report.recent]}
    return json.dumps(asdict(report) | times, separators=(",", ":"))


def report_from_text(body: str | None) -> ExitReport | None:
    """Read a report; one that cannot be read counts as none, because a report only saves waiting."""
    if not body:
        return None
    try:
        raw = json.loads(body)
        known = {name: raw[name] for name in ExitReport.__dataclass_fields__}
        times = {"at": parse_iso(raw["at"]), "recent": tuple(parse_iso(at) for at in raw["recent"])}
        return ExitReport(**(known | times))
    except (ValueError, KeyError, TypeError) as error:
        log.warning("exit report cannot be read, leases end by their TTL instead", error=type(error).__name__)
        return None
