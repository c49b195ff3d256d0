"""How fast do logged-in sessions come back, here and with whatsapp-web.js? `python -m bench.peers [--sessions 20]`.

Both restore the same linked devices, from the same S3 server and on the same stand-in, in turn: from nothing but what
is in the bucket to all sessions usable. Ours is the whole daemon under supervisord; profiles and the hot copies in
Redis are taken away before each start. The profiles of both lie in memory unless --disk is given. The peer is the real
npm packages: one Node process with a client for each session, RemoteAuth and wwebjs-aws-s3, all started at once, as its
documentation shows, in three ways:

- documented: full Chromium;
- headless-shell: the binary that we use, too; one option, and most of the difference to full Chromium;
- repaired: on headless-shell, without two faults. RemoteAuth waits until unzipper has written its files; as published
  it goes on when the zip has been read, so that a fast browser starts on half a profile and shows a QR code. And the
  client looks whether the page has synced before it listened; as published it is then logged in and never ready. How
  often that happens depends on how long a page syncs, and that is the stand-in's choice.

The sessions are linked once, by our daemon, and RemoteAuth's own code then stores copies of their closed profiles in
the bucket. That is fair: the page and its login are the same, whoever opened them; a closed profile is the best that
RemoteAuth can have, which otherwise copies it from under a running browser; and both bring back the same login. What
a restore changes in the profile is not stored by the peer, so the stand-in counts its later log-ins as stale, and lets
them in. Nothing was tried on the real WhatsApp, whose page loads far more: differences there are smaller in proportion.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bench.archiving import time_archives
from bench.counted import holding
from bench.form import Run, bench
from bench.outcome import Outcome
from bench.processes import COORDINATOR, REDIS
from bench.report import Chart, Report, Spread, Table, Target
from bench.restore import SYNC_MS, Installation, installation, on_disk_or_tmpfs, profiles_in
from bench.wwebjs import WAYS, ArchiveTime, Peer, Way, install_packages
from tests.servers.s3 import r2local_server
from tests.standin import StandIn

OURS = "blazz"
_SHARDS = 2
_KEPT_MS = 600_000
"""Sessions stay placed so long while their shards are stopped for the peer's turn, as in a restart."""
_QUICK_SESSIONS = 2
_QUICK_PATIENCE_S = 15.0
_FULL_CHROMIUM_SESSIONS = 20
_WANTED_SPEEDUP, _WANTED_AT = 1.6, 100
_REPAIRED = WAYS["repaired"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured."""

    sessions: int
    repeats: int
    patience_s: float
    ways: dict[Way, int]
    """With how many sessions each."""
    warm_up: bool


@dataclass(frozen=True, kw_only=True)
class Archives:
    """Times of the archive steps of both."""

    sessions: int
    ours: list[ArchiveTime]
    theirs: list[ArchiveTime]


@bench(title="How fast do logged-in sessions come back, here and with whatsapp-web.js?")
@click.option("--sessions", default=20, show_default=True, type=click.IntRange(1, 200))
@click.option("--repeats", default=2, show_default=True, type=click.IntRange(1, 20))
@click.option(
    "--way", "chosen", multiple=True, type=click.Choice(list(WAYS)), help="Of the peer; may be repeated. Default: all."
)
@click.option(
    "--patience", "patience_s", default=60.0, show_default=True, type=click.FloatRange(5, 600),
    help="Seconds without progress after which the sessions that are left count as not ready.",
)  # fmt: skip
@click.option(
    "--all", "uncapped", is_flag=True,
    help=f"As documented with more than {_FULL_CHROMIUM_SESSIONS} sessions, too: 100 take 13.5 GB.",
)  # fmt: skip
@on_disk_or_tmpfs
async def main(
    run: Run,
    *,
    sessions: int,
    repeats: int,
    chosen: tuple[str, ...],
    patience_s: float,
    uncapped: bool,
    tmpfs: bool,
) -> Report:
    """Restore the same sessions from the same bucket by turns, with our daemon and with whatsapp-web.js."""
    plan = _plan(run, sessions, repeats, chosen, patience_s, uncapped)
    await install_packages(run.say)
    found: list[Outcome] = []
    with profiles_in(run, tmpfs=tmpfs) as work, r2local_server() as store:
        async with (
            StandIn(tls=True, ref_ttl_ms=60_000) as standin,
            installation(standin, store, shards=_SHARDS, profiles=work / "ours", SHARD_GRACE_MS=str(_KEPT_MS)) as ours,
        ):
            with run.progress(f"link {plan.sessions} sessions", 1):
                await ours.grow(plan.sessions)
                await _stop_shards(ours)
            standin.options.change({"sync_ms": SYNC_MS})
            peer = Peer(work=work / "peer", s3=store, standin=standin, sessions=ours.sessions, phones=ours.phones())
            profiles = _profiles(ours)
            with run.progress("store the sessions with RemoteAuth", 1):
                await peer.store(profiles)
            archives = await _time_archives(run, work, profiles, peer)
            await _restore_by_turns(run, plan, ours, peer, found)
    return _report(plan, found, archives)


def _plan(run: Run, sessions: int, repeats: int, chosen: tuple[str, ...], patience_s: float, uncapped: bool) -> Plan:
    if run.quick:
        ways = {way: _QUICK_SESSIONS for name, way in WAYS.items() if name != "documented"}
        return Plan(sessions=_QUICK_SESSIONS, repeats=1, patience_s=_QUICK_PATIENCE_S, ways=ways, warm_up=False)
    capped = sessions if uncapped else min(sessions, _FULL_CHROMIUM_SESSIONS)
    ways = {way: capped if name == "documented" else sessions for name, way in WAYS.items() if name in (chosen or WAYS)}
    return Plan(sessions=sessions, repeats=repeats, patience_s=patience_s, ways=ways, warm_up=True)


async def _stop_shards(ours: Installation) -> None:
    await asyncio.to_thread(ours.house.control, "stop", "shard:*")


def _profiles(ours: Installation) -> dict[str, Path]:
    """Return where the profile of each session is; complete while the shards are stopped."""
    found = {path.name: path for path in ours.profile_root.glob("*/sessions/*")}
    return {session: found[session] for session in ours.sessions}


async def _time_archives(run: Run, work: Path, profiles: dict[str, Path], peer: Peer) -> Archives:
    with run.progress("time the archives", 2) as advance:
        theirs = await peer.archive(profiles)
        advance()
        own = await asyncio.to_thread(time_archives, profiles, work / "archives")
        advance()
    return Archives(sessions=len(profiles), ours=own, theirs=theirs)


async def _restore_ours(ours: Installation) -> Outcome:
    """Restore with our daemon, as `bench.restore` does, and stop its shards again."""
    found = await ours.restore("r2")
    held = await asyncio.to_thread(holding, ours.house.processes())
    await _stop_shards(ours)
    lost = found.sessions - found.connected
    if found.sources.keys() != {"r2"}:
        raise click.ClickException(f"our sessions came from {found.sources} and not from R2 alone")
    return Outcome(
        who=OURS,
        asked=found.sessions,
        ready_s=found.usable_s,
        failures={"not ready": lost} if lost else {},
        cpu_s=sum(found.cpu_s[part] for part in ("browsers", "shards", COORDINATOR, REDIS)),
        holding=held,
    )


async def _restore_by_turns(run: Run, plan: Plan, ours: Installation, peer: Peer, found: list[Outcome]) -> None:
    if plan.warm_up:
        with run.progress("warm up", len(plan.ways)) as advance:
            for way in plan.ways:
                await peer.restore(way, 1, patience_s=_QUICK_PATIENCE_S)
                advance()
    with run.progress("restore by turns", plan.repeats * (1 + len(plan.ways))) as advance:
        for number in range(plan.repeats):
            turns: list[Way | None] = [None, *plan.ways]
            # Whoever comes first does so once.
            for turn in turns if number % 2 == 0 else turns[::-1]:
                if turn is None:
                    found.append(await _restore_ours(ours))
                else:
                    found.append(await peer.restore(turn, plan.ways[turn], patience_s=plan.patience_s))
                advance()


def _report(plan: Plan, found: list[Outcome], archives: Archives) -> Report:
    by_name = {name: [one for one in found if one.who == name] for name in (OURS, *(way.name for way in plan.ways))}
    return Report(
        headlines=_headlines(by_name),
        tables=[_restores_table(by_name), _archives_table(archives)],
        data={
            "sessions": plan.sessions,
            "sync_ms": SYNC_MS,
            "restores": [one.plain() for one in found],
            "archives": asdict(archives),
        },
        charts=_charts(by_name, archives),
        targets=_targets(plan, by_name),
        failure=_failure(by_name),
    )


def _failure(by_name: dict[str, list[Outcome]]) -> str:
    """Return why the numbers are worth nothing, or nothing; what the peer loses is what is measured."""
    lost = sum(one.asked - len(one.ready_s) for one in by_name[OURS])
    if lost:
        return f"{lost} of our sessions did not come back"
    silent = [name for name, runs in by_name.items() if not any(one.ready_s for one in runs)]
    return "" if len(silent) < len(by_name) - 1 or len(by_name) == 1 else "of the peer's sessions none came back"


def _headlines(by_name: dict[str, list[Outcome]]) -> list[str]:
    own, lines = by_name[OURS], []
    for name, runs in by_name.items():
        line = f"{name}: {_ready(runs)} sessions usable"
        if all(one.ready_s for one in runs):
            half = Spread.of(one.at_s(0.5) for one in runs)
            line += f", the last of them after {_wall(runs).text()} s, half of them after {half.text()} s"
        if runs is not own and runs[0].asked == own[0].asked and not any(one.failures for one in (*own, *runs)):
            line += f"; we are {_speedup(own, runs):.2f} times as fast"
        lines.append(line)
    return lines


def _restores_table(by_name: dict[str, list[Outcome]]) -> Table:
    columns: dict[str, Callable[[list[Outcome]], str]] = {
        "ready / asked": _ready,
        "wall s": lambda runs: _spread(runs, lambda one: one.wall_s),
        "median s": lambda runs: _spread(runs, lambda one: one.at_s(0.5)),
        "p95 s": lambda runs: _spread(runs, lambda one: one.at_s(0.95)),
        "CPU s each": lambda runs: _spread(runs, lambda one: one.cpu_s / one.asked, ".2f"),
        "MiB each": lambda runs: _spread(runs, lambda one: one.holding.browser_pss_mib / one.asked, ".0f"),
        "MiB beside": lambda runs: _spread(runs, lambda one: one.holding.other_pss_mib, ".0f"),
        "processes each": lambda runs: _spread(runs, lambda one: one.holding.browser_processes / one.asked),
        "not ready": _failures,
    }
    return Table(
        title="from an empty disk to usable sessions",
        columns=("", *columns),
        rows=[(name, *(shown(runs) for shown in columns.values())) for name, runs in by_name.items()],
        caption=f"Seconds from the start of the program, the stand-in's {SYNC_MS / 1000:.1f} s of sync in each; of "
        "the sessions that got ready. CPU until the last of them, of all that the restore runs on (ours: shards, "
        "coordinator, Redis) but S3 server and stand-in, over the sessions asked. MiB (PSS) and processes "
        f"of browsers over the sessions asked; beside: of everything else. As documented with "
        f"{_FULL_CHROMIUM_SESSIONS} sessions at most unless --all is given.",
    )


def _archives_table(archives: Archives) -> Table:
    sized = {}
    for who, times in ((OURS, archives.ours), ("RemoteAuth", archives.theirs)):
        for one in times:
            size = "" if one.size_bytes is None else f"{one.size_bytes / archives.sessions / 1000:.0f}"
            sized[f"{who}: {one.step}, {one.way}"] = (f"{archives.sessions / one.seconds:.0f}", size)
    return Table(
        title=f"archives of the same {archives.sessions} profiles, without S3 and browsers",
        columns=("", "sessions/s", "kB each"),
        rows=[(name, *cells) for name, cells in sized.items()],
        caption="RemoteAuth as published ends before its files are written, checks nothing and syncs nothing; ours "
        "checks every file by its SHA-256 and syncs. All at once: Promise.all; ours: a thread for each processor.",
    )


def _charts(by_name: dict[str, list[Outcome]], archives: Archives) -> list[Chart]:
    shares: dict[str, list[tuple[float | str, float]]] = {
        name: [(at_s, ready / runs[0].asked * 100) for ready, at_s in enumerate(runs[0].ready_s, 1)]
        for name, runs in by_name.items()
    }
    speeds: dict[str, list[tuple[float | str, float]]] = {
        who: [
            (f"{step}, {way}", archives.sessions / next(t.seconds for t in times if (t.step, t.way) == (step, way)))
            for step in ("compress", "extract, complete")
            for way in ("one after another", "all at once")
        ]
        for who, times in ((OURS, archives.ours), ("RemoteAuth", archives.theirs))
    }
    return [
        Chart(
            title="sessions that are usable, first run", x_label="seconds", y_label="% of those asked", series=shares
        ),
        _bars("processor time", "CPU seconds a session", by_name, lambda one: one.cpu_s / one.asked),
        _bars(
            "memory of browsers", "MiB (PSS) a session", by_name, lambda one: one.holding.browser_pss_mib / one.asked
        ),
        Chart(title="archives", x_label="", y_label="sessions a second", kind="bars", series=speeds),
    ]


def _bars(title: str, unit: str, by_name: dict[str, list[Outcome]], of: Callable[[Outcome], float]) -> Chart:
    points: list[tuple[float | str, float]] = [
        (name, Spread.of(map(of, runs)).median) for name, runs in by_name.items()
    ]
    return Chart(title=title, x_label="", y_label=unit, kind="bars", series={"median": points})


def _targets(plan: Plan, by_name: dict[str, list[Outcome]]) -> list[Target]:
    theirs = by_name.get(_REPAIRED.name)
    if theirs is None or plan.sessions < _WANTED_AT:
        return []
    speedup = _speedup(by_name[OURS], theirs)
    whole = not any(one.failures for one in (*by_name[OURS], *theirs))
    return [
        Target(
            what=f"{plan.sessions} sessions, all connected: times as fast as {_REPAIRED.name}",
            wanted=f">= {_WANTED_SPEEDUP}",
            found=f"{speedup:.2f}" if whole else f"not to be compared: {_ready(theirs)} of the peer's got ready",
            met=whole and speedup >= _WANTED_SPEEDUP,
        )
    ]


def _wall(runs: Iterable[Outcome]) -> Spread:
    return Spread.of(one.wall_s for one in runs)


def _speedup(own: list[Outcome], theirs: list[Outcome]) -> float:
    return _wall(theirs).median / _wall(own).median


def _ready(runs: list[Outcome]) -> str:
    return f"{', '.join(str(len(one.ready_s)) for one in runs)} / {runs[0].asked}"


def _spread(runs: list[Outcome], of: Callable[[Outcome], float], form: str = ".1f") -> str:
    values = [of(one) for one in runs]
    return Spread.of(values).text(form) if any(values) else "-"


def _failures(runs: list[Outcome]) -> str:
    kinds = dict.fromkeys(kind for one in runs for kind in one.failures)
    return "; ".join(f"{', '.join(str(one.failures.get(kind, 0)) for one in runs)} {kind}" for kind in kinds)


if __name__ == "__main__":
    main()
