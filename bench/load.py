"""How does a running daemon bear a load? `python -m bench.load --url URL [--rate 20] [--duration 30] [--mix MIX]`.

Drives the HTTP API of the daemon at `--url`, and of no other: no redirect is followed and no proxy used. Requests begin
at a fixed rate however long the answers take, and each is timed from when it was due. The token is best given in
BLAZZ_TOKEN: the arguments of a process can be seen by others on its machine.

`create` makes `--sessions` sessions of its own, which it deletes at the end, and asks for them again and again. A new
session starts a browser there. `send` is off unless `--to` and `--from` are given: what it sends are real messages.

Without --url it drives an installation of its own on the stand-in for WhatsApp Web.
"""

import contextlib
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click
import httpx

from bench.driven import AGAIN, AT_ONCE, CREATE, LIST, SEND, TIMEOUT_S, Driven, checked_token, checked_url, client_of
from bench.fleet import Fleet
from bench.form import Run, bench
from bench.report import Chart, Report, Table, percentile
from bench.traffic import Answered, Due, ErrorLimit, OpenLoop, plan_requests

_REQUESTS_MAX = 100_000
_STANDIN_PHONE = "5511888880001"


def parse_mix(text: str) -> dict[str, float]:
    """Return the weights in a text as `list=6,create=2,send=2`.

    Raises:
        click.UsageError: it is none.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        kind, _, weight = part.partition("=")
        if kind not in {LIST, CREATE, SEND} or not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", weight):
            raise click.UsageError(f"--mix: {part!r} is not list=, create= or send= with a number")
        if float(weight):
            found[kind] = float(weight)
    if not found:
        raise click.UsageError("--mix leaves nothing to ask for")
    return found


@bench(title="How does a running daemon bear a load?", seed=6, secret=("token", "to"))
@click.option("--url", help="The daemon to drive, as http://127.0.0.1:8080; without it one of its own is started.")
@click.option("--token", envvar="BLAZZ_TOKEN", show_envvar=True, help="API token with the scopes that the mix needs.")
@click.option("--mix", help="Weights of the requests.  [default: list=6,create=2, with --to also send=2]")
@click.option("--rate", default=20.0, show_default=True, type=click.FloatRange(0.1, 1000), help="Requests a second.")
@click.option("--duration", default=30.0, show_default=True, type=click.FloatRange(1, 3600), help="Seconds.")
@click.option("--sessions", default=5, show_default=True, type=click.IntRange(1, 500), help="Sessions to create.")
@click.option("--workspace", default="load-test", show_default=True, help="Workspace in which they are created.")
@click.option("--to", help="Send messages to this number. They are real.")
@click.option("--from", "senders", multiple=True, help="A connected session that sends; may be repeated.")
@click.option("--max-messages", default=100, show_default=True, type=click.IntRange(1), help="Refuse to send more.")
@click.option(
    "--stop-on-errors", default=0.05, show_default=True, type=click.FloatRange(0, 1),
    help="End when more than this share of the last 50 requests failed.",
)  # fmt: skip
@click.option("--keep", is_flag=True, help="Do not delete the sessions that were created.")
async def main(run: Run, *, url: str | None, token: str | None, **options: Any) -> Report:
    """Drive the daemon at --url, or one of its own, at a fixed rate."""
    if run.quick:
        options |= {"rate": min(options["rate"], 10.0), "duration": min(options["duration"], 3.0), "sessions": 2}
    if url is None:
        async with _own(linked=2) as fleet:
            options |= {"senders": fleet.sessions, "to": _STANDIN_PHONE, "max_messages": _REQUESTS_MAX}
            return await _drive(run, fleet.http, Load(what="an installation of its own", **options))
    load = Load(what=url, **options)
    async with client_of(checked_url(url), checked_token(token)) as http:
        return await _drive(run, http, load)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked, how often, and when it is too much; as the options say."""

    what: str
    mix: str | None
    rate: float
    duration: float
    sessions: int
    workspace: str
    to: str | None
    senders: Sequence[str]
    max_messages: int
    stop_on_errors: float
    keep: bool

    def plan(self, chance: random.Random) -> list[Due]:
        """Return what is to be asked when.

        Raises:
            click.UsageError: it is too much, or sends to nobody.
        """
        if self.rate * self.duration > _REQUESTS_MAX:
            raise click.UsageError(f"these would be more than {_REQUESTS_MAX:,} requests: lower --rate or --duration")
        mix = parse_mix(self.mix or ("list=6,create=2,send=2" if self.to else "list=6,create=2"))
        plan = plan_requests(mix, rate=self.rate, duration_s=self.duration, chance=chance)
        self._check_messages(sum(due.kind == SEND for due in plan))
        return [replace(due, kind=AGAIN) if due.kind == CREATE and due.number >= self.sessions else due for due in plan]

    def _check_messages(self, messages: int) -> None:
        if messages and self.to is None:
            raise click.UsageError("send is in the mix, and --to does not say to whom: messages are real")
        if messages and not self.senders:
            raise click.UsageError("--to needs --from: the connected sessions that are to send")
        if messages > self.max_messages:
            raise click.UsageError(f"these would be {messages} messages: --max-messages allows {self.max_messages}")


async def _drive(run: Run, http: httpx.AsyncClient, load: Load) -> Report:
    plan = load.plan(run.random)
    driven = Driven(http=http, workspace=load.workspace, sessions=load.sessions, senders=load.senders, to=load.to or "")
    await driven.check()
    limit = ErrorLimit(load.stop_on_errors)
    try:
        with run.progress(f"asking {load.what}", len(plan)) as advance:

            async def ask(due: Due) -> str:
                code = await driven.ask(due)
                advance()
                return code

            loop = OpenLoop(ask, limit, at_once=AT_ONCE)
            await loop.run(plan, timeout_s=TIMEOUT_S)
    finally:
        await _clean(run, driven, keep=load.keep)
    failures = [
        f"stopped: {limit.text()}" if loop.stopped else _never_begun(plan, loop.answers),
        f"not deleted: {', '.join(sorted(driven.made))}" if driven.made and not load.keep else "",
    ]
    return _report(load, plan, loop, "; ".join(filter(None, failures)))


async def _clean(run: Run, driven: Driven, *, keep: bool) -> None:
    if not driven.made:
        return
    if keep:
        run.say(f"{len(driven.made)} sessions {driven.run_id}-* are kept")
        return
    run.say(f"deleting {len(driven.made)} sessions {driven.run_id}-*")
    await driven.delete_made()
    if driven.made:
        run.say(f"could not delete {', '.join(sorted(driven.made))}")


@contextlib.asynccontextmanager
async def _own(*, linked: int) -> AsyncIterator[Fleet]:
    """Give an installation on the stand-in with so many connected sessions."""
    async with Fleet.installed(shards=1, SEND_MIN_INTERVAL_MS="0", RATE_LIMIT_PER_MINUTE="0") as fleet:
        await fleet.link(linked)
        yield fleet


def _report(load: Load, plan: Sequence[Due], loop: OpenLoop, failure: str) -> Report:
    answers = loop.answers
    good = sum(not answer.code for answer in answers)
    codes = Counter((answer.kind, answer.code) for answer in answers if answer.code)
    late_ms = percentile([answer.late_ms for answer in answers] or [0.0], 0.99)
    per_s = good / loop.lasted_s if loop.lasted_s else 0.0
    kinds = {kind: _of_kind(answers, kind) for kind in dict.fromkeys(due.kind for due in plan)}
    return Report(
        headlines=[
            f"{load.what}: {load.rate:g} requests a second for {load.duration:g} s; "
            f"{len(answers)} of {len(plan)} were made, {good} succeeded, {per_s:.1f} a second",
            f"99 % were sent within {late_ms:.1f} ms of when they were due",
        ],
        tables=[_latencies(kinds), *([_errors(codes)] if codes else [])],
        data={
            "rate_per_s": load.rate,
            "duration_s": load.duration,
            "planned": len(plan),
            "made": len(answers),
            "succeeded": good,
            "succeeded_per_s": round(per_s, 2),
            "late_p99_ms": round(late_ms, 2),
            "operations": kinds,
            "errors": [{"operation": kind, "code": code, "count": count} for (kind, code), count in codes.items()],
            "stopped": loop.stopped,
        },
        charts=[_chart(kinds)],
        failure=failure,
    )


def _never_begun(plan: Sequence[Due], answers: Sequence[Answered]) -> str:
    missing = len(plan) - len(answers)
    return f"{missing} of {len(plan)} requests were never made or never answered" if missing else ""


def _of_kind(answers: Sequence[Answered], kind: str) -> dict[str, float]:
    mine = [answer for answer in answers if answer.kind == kind]
    times = [answer.latency_ms for answer in mine] or [0.0]
    shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1.0}
    return {
        "requests": len(mine),
        "errors": sum(bool(answer.code) for answer in mine),
        **{name: round(percentile(times, share), 2) for name, share in shares.items()},
    }


def _latencies(kinds: Mapping[str, Mapping[str, float]]) -> Table:
    times = ("p50_ms", "p95_ms", "p99_ms", "max_ms")
    return Table(
        title="from when a request was due to its answer, ms",
        columns=("request", "made", "failed", "p50", "p95", "p99", "max"),
        rows=[
            (kind, f"{found['requests']:,}", f"{found['errors']:,}", *(f"{found[name]:.1f}" for name in times))
            for kind, found in kinds.items()
        ],
        caption="create: a new session; create again: the same request for one that is there",
    )


def _errors(codes: Counter[tuple[str, str]]) -> Table:
    rows = [(f"{kind}: {code}", f"{count:,}") for (kind, code), count in codes.most_common()]
    return Table(title="errors by code", columns=("request and code", "count"), rows=rows)


def _chart(kinds: Mapping[str, Mapping[str, float]]) -> Chart:
    series = {
        name.removesuffix("_ms"): [(kind, found[name]) for kind, found in kinds.items()]
        for name in ("p50_ms", "p95_ms", "p99_ms")
    }
    return Chart(title="latency by request", x_label="", y_label="ms from due", kind="bars", series=series)


if __name__ == "__main__":
    main()
