"""How evenly are sessions placed, what moves when shards come and go, and how long does a plan take?
`python -m bench.placement [--sessions N]`.

Pure computing: no Redis, no browser. Beside our ring stand the two usual ways: modulo, and a ring without bounds.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b

import click

from bench.form import Run, bench
from bench.report import Chart, Report, Spread, Table, Target
from daemon.placement.plan import Placeable, plan_moves
from daemon.placement.ring import Ring, ShardLoad, fair_shares

_ROOM = 1.5
"""Capacity of all shards together, in sessions that there are."""
_LOAD_FACTOR = 1.25
_CAPACITIES = ("equal", "1 : 2 : 4")
MODULO, UNBOUNDED, OURS = "modulo", "ring without bounds", "ring with bounded loads"
Loads = Mapping[str, ShardLoad]
Where = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    sessions: int
    shards: tuple[int, ...]
    rounds: int
    budget: int
    """Planned handovers of one look."""


_QUICK = Size(sessions=4000, shards=(10, 25), rounds=2, budget=20)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """One way to place, on some shards. Shares are of all sessions; fullness is of the fair share by capacity."""

    way: str
    shards: int
    capacities: str
    fullest: float
    emptiest: float
    above_bound: int
    """Sessions of a shard above its bounded load, a whole number; of the worst shard."""
    moved_adding: float
    """When one shard is added and everything is placed anew."""
    moved_removing: float
    fair_adding: float
    fair_removing: float


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What really moves, as placements are kept: shares of all sessions, and the state after it."""

    shards: int
    capacities: str
    removed_own: float
    """What was on the shard that is removed."""
    moved_removing: float
    moved_adding: float
    fair_adding: float
    looks_adding: int
    """How many looks a rebalancing takes on its budget."""
    moved_twice: int
    fullest_after: float
    emptiest_after: float


@dataclass(frozen=True, kw_only=True)
class Took:
    """Milliseconds of processor time that plans take, by `_PLANS`."""

    shards: int
    plans_ms: dict[str, Spread]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything that one run found."""

    size: Size
    placed: list[Placed]
    kept: list[Kept]
    took: list[Took]


@bench(title="How evenly are sessions placed, what moves, and how long does a plan take?")
@click.option("--sessions", default=100_000, show_default=True, type=click.IntRange(1000))
@click.option("--shards", multiple=True, default=(10, 25, 50, 100), show_default=True, type=click.IntRange(2))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Of the times of plans.")
async def main(run: Run, *, sessions: int, shards: tuple[int, ...], rounds: int) -> Report:
    """Place many sessions on few and on many shards."""
    whole = Size(sessions=sessions, shards=shards, rounds=rounds, budget=100)
    return _report(await _measure(run, _QUICK if run.quick else whole))


async def _measure(run: Run, size: Size) -> Found:
    ids = [f"session-{number}-{number % 977}" for number in range(size.sessions)]
    cases = [(count, kind) for kind in _CAPACITIES for count in size.shards]
    found = Found(size=size, placed=[], kept=[], took=[])
    with run.progress("placing and planning", len(cases) * (len(WAYS) + 1) + len(size.shards)) as advance:
        for count, kind in cases:
            for way in WAYS:
                found.placed.append(_placed(ids, way, count, kind))
                advance()
                await asyncio.sleep(0)  # nothing else here lets an interruption in
            found.kept.append(_kept(ids, count, kind, size.budget))
            advance()
        for count in size.shards:
            found.took.append(_took(ids, count, size))
            advance()
            await asyncio.sleep(0)
    return found


def _loads(count: int, kind: str, sessions: int, prefix: str = "shard", base: int | None = None) -> Loads:
    """Return `count` empty shards, of which the first `base` (all, if not given) have room for the sessions."""
    weights = [(1, 2, 4)[number % 3] if kind != "equal" else 1 for number in range(count)]
    unit = _ROOM * sessions / sum(weights[:base])
    names = [f"{prefix}_{number:02d}" for number in range(count)]
    return {
        name: ShardLoad(name=name, sessions=0, capacity=round(unit * weight))
        for name, weight in zip(names, weights, strict=True)
    }


def _modulo(ids: list[str], loads: Loads) -> Where:
    names = sorted(loads)
    return {i: names[int.from_bytes(blake2b(i.encode(), digest_size=8).digest(), "big") % len(names)] for i in ids}


def _unbounded(ids: list[str], loads: Loads) -> Where:
    ring = Ring(loads.values())
    return {i: next(ring.walk(i)) for i in ids}


def _bounded(ids: list[str], loads: Loads) -> Where:
    moves = plan_moves([Placeable(session_id=i, shard=None) for i in ids], loads)
    return {move.session_id: move.to for move in moves}


WAYS: dict[str, Callable[[list[str], Loads], Where]] = {
    MODULO: _modulo,
    UNBOUNDED: _unbounded,
    OURS: _bounded,
}


def _placed(ids: list[str], way: str, count: int, kind: str) -> Placed:
    more = _loads(count + 1, kind, len(ids), base=count)
    *names, added = more
    loads = {name: more[name] for name in names}
    removed = names[-1]
    fewer = {name: load for name, load in loads.items() if name != removed}
    where, with_more, with_fewer = (WAYS[way](ids, some) for some in (loads, more, fewer))
    counts = Counter(where.values())
    fullest, emptiest = _fullness(counts, loads)
    return Placed(
        way=way,
        shards=count,
        capacities=kind,
        fullest=fullest,
        emptiest=emptiest,
        above_bound=_above_bound(counts, loads),
        moved_adding=_moved(where, with_more),
        moved_removing=_moved(where, with_fewer),
        fair_adding=fair_shares(more.values(), 1)[added],
        fair_removing=fair_shares(loads.values(), 1)[removed],
    )


def _fullness(counts: Mapping[str, int], loads: Loads) -> tuple[float, float]:
    shares = fair_shares(loads.values(), sum(counts.values()))
    full = [counts.get(name, 0) / shares[name] for name in loads]
    return max(full), min(full)


def _above_bound(counts: Mapping[str, int], loads: Loads) -> int:
    shares = fair_shares(loads.values(), sum(counts.values()))
    return max(0, *(counts.get(name, 0) - math.ceil(_LOAD_FACTOR * share) for name, share in shares.items()))


def _moved(before: Where, after: Where) -> float:
    return sum(before[i] != after[i] for i in before) / len(before)


def _kept(ids: list[str], count: int, kind: str, budget: int) -> Kept:
    more = _loads(count + 1, kind, len(ids), base=count)
    *names, added = more
    where = _bounded(ids, {name: more[name] for name in names})
    removed = names[-1]
    left = _counted({name: more[name] for name in names if name != removed}, where)
    own = [i for i in ids if where[i] == removed]
    moved_removing = len(plan_moves(_settled(where), left))
    looks, moved = 0, Counter[str]()
    sessions = {session.session_id: session for session in _settled(where)}
    while moves := plan_moves(sessions.values(), _counted(more, where), handovers=budget, rebalance=True):
        where |= {move.session_id: move.to for move in moves}
        sessions |= {move.session_id: replace(sessions[move.session_id], shard=move.to) for move in moves}
        moved.update(move.session_id for move in moves)
        looks += 1
    fullest, emptiest = _fullness(Counter(where.values()), more)
    return Kept(
        shards=count,
        capacities=kind,
        removed_own=len(own) / len(ids),
        moved_removing=moved_removing / len(ids),
        moved_adding=moved.total() / len(ids),
        fair_adding=fair_shares(more.values(), 1)[added],
        looks_adding=looks,
        moved_twice=sum(times > 1 for times in moved.values()),
        fullest_after=fullest,
        emptiest_after=emptiest,
    )


def _counted(loads: Loads, where: Where) -> Loads:
    counts = Counter(where.values())
    return {name: replace(load, sessions=counts[name]) for name, load in loads.items()}


def _settled(where: Where) -> list[Placeable]:
    return [Placeable(session_id=i, shard=shard, movable=True) for i, shard in where.items()]


_PLANS = (
    "the ring",
    "from nothing",
    "nothing to do",
    "nothing to even out",
    "one shard lost",
    "a look to rebalance",
    "a look to drain",
)
_DRAWN_PLANS = ("from nothing", "a look to rebalance", "one shard lost", "nothing to do")


def _took(ids: list[str], count: int, size: Size) -> Took:
    taken = [_round_of_plans(ids, count, number, size.budget) for number in range(size.rounds)]
    return Took(shards=count, plans_ms={name: Spread.of(one[name] for one in taken) for name in _PLANS})


def _round_of_plans(ids: list[str], count: int, number: int, budget: int) -> dict[str, float]:
    # New names each time: a ring that was made before is remembered.
    more = _loads(count + 1, "equal", len(ids), prefix=f"{number}-shard", base=count)
    *names, added = more
    empty = {name: more[name] for name in names}
    other = {f"b-{name}": replace(load, name=f"b-{name}") for name, load in empty.items()}
    where = _bounded(ids, other)
    settled, loads = _settled(where), _counted(other, where)
    first, second, *_ = loads
    left = {name: load for name, load in loads.items() if name != first}
    drain = {"draining": frozenset({second}), "handovers": budget}
    even_out = {"handovers": budget, "rebalance": True}
    return {
        "from nothing": _ms(plan_moves, [Placeable(session_id=i, shard=None) for i in ids], empty),
        "the ring": _ms(Ring, more.values()),
        "nothing to do": _ms(plan_moves, settled, loads),
        "nothing to even out": _ms(plan_moves, settled, loads, **even_out),
        "one shard lost": _ms(plan_moves, settled, left),
        "a look to rebalance": _ms(plan_moves, settled, {**loads, added: more[added]}, **even_out),
        "a look to drain": _ms(plan_moves, settled, loads, **drain),
    }


def _ms(work: Callable[..., object], *args: object, **settings: object) -> float:
    """Return the processor time of one call: other processes of the machine do not count."""
    started = time.process_time()
    work(*args, **settings)
    return round((time.process_time() - started) * 1000, 1)


def _report(found: Found) -> Report:
    return Report(
        headlines=_headlines(found),
        tables=[_placed_table(found), _kept_table(found), _took_table(found)],
        data={
            "sessions": found.size.sessions,
            "handovers_a_look": found.size.budget,
            "placed": [asdict(placed) for placed in found.placed],
            "kept": [asdict(kept) for kept in found.kept],
            "took": [asdict(took) for took in found.took],
        },
        charts=_charts(found),
        targets=_targets(found),
    )


def _headlines(found: Found) -> list[str]:
    ours, plain = ([p for p in found.placed if p.way == way] for way in (OURS, UNBOUNDED))
    modulo = [p for p in found.placed if p.way == MODULO and p.capacities == "equal"]
    adding = max(found.kept, key=lambda kept: kept.moved_adding)
    slowest = max(found.took, key=lambda took: took.plans_ms["from nothing"].median)
    idle_ms = max(took.plans_ms["nothing to do"].median for took in found.took)
    return [
        f"fullest shard: {max(p.fullest for p in ours):.2f} of its fair share with bounds, "
        f"{max(p.fullest for p in plain):.2f} without",
        f"one shard added: modulo would move {min(p.moved_adding for p in modulo):.0%} or more; "
        f"ours moves nothing, or by rebalancing at most {adding.moved_adding:.1%} ({adding.shards} shards), "
        f"{sum(kept.moved_twice for kept in found.kept)} of them twice",
        f"{found.size.sessions:,} sessions are planned from nothing in "
        f"{slowest.plans_ms['from nothing'].text('.0f')} ms ({slowest.shards} shards); a look with nothing to do "
        f"takes {idle_ms:.0f} ms",
    ]


def _placed_table(found: Found) -> Table:
    rows = [
        (
            f"{p.shards}, {p.capacities}: {p.way}",
            f"{p.fullest:.2f}",
            f"{p.emptiest:.2f}",
            f"{p.moved_adding:.1%} ({p.fair_adding:.1%})",
            f"{p.moved_removing:.1%} ({p.fair_removing:.1%})",
        )
        for p in found.placed
    ]
    return Table(
        title=f"{found.size.sessions:,} sessions placed from nothing",
        columns=("shards, capacities, way", "fullest", "emptiest", "moved, one added", "moved, one removed"),
        rows=rows,
        caption="fullest, emptiest: of the fair share by capacity; moved: if everything were placed anew (fair)",
    )


def _kept_table(found: Found) -> Table:
    rows = [
        (
            f"{k.shards}, {k.capacities}",
            f"{k.moved_removing:.2%}",
            f"{k.removed_own:.2%}",
            f"{k.moved_adding:.2%} ({k.fair_adding:.2%})",
            str(k.looks_adding),
            str(k.moved_twice),
            f"{k.fullest_after:.2f}",
            f"{k.emptiest_after:.2f}",
        )
        for k in found.kept
    ]
    return Table(
        title="what really moves, as placements are kept",
        columns=(
            *("shards, capacities", "moved, one removed", "its own", "moved, one added"),
            *("looks", "twice", "fullest", "emptiest"),
        ),
        rows=rows,
        caption=f"one added: by rebalancing (fair), {found.size.budget} handovers a look; without it nothing moves",
    )


def _took_table(found: Found) -> Table:
    return Table(
        title=f"processor milliseconds of a plan for {found.size.sessions:,} sessions",
        columns=("plan", *(f"{took.shards} shards" for took in found.took)),
        rows=[(name, *(took.plans_ms[name].text() for took in found.took)) for name in _PLANS],
        caption=f"medians and ranges of {found.size.rounds}; a ring is made once for the same capacities, and is in "
        f"each plan here that moves anything; a look has {found.size.budget} handovers",
    )


def _charts(found: Found) -> list[Chart]:
    uneven = _CAPACITIES[-1]
    return [
        Chart(
            title=f"fullest shard, capacities {uneven}",
            x_label="shards",
            y_label="of its fair share",
            series={
                way: [(p.shards, p.fullest) for p in found.placed if (p.way, p.capacities) == (way, uneven)]
                for way in WAYS
            },
            target=_LOAD_FACTOR,
        ),
        Chart(
            title="moved when one shard is added, equal capacities",
            x_label="shards before",
            y_label="% of all sessions",
            kind="bars",
            series=_moved_series(found),
        ),
        Chart(
            title=f"a plan for {found.size.sessions:,} sessions",
            x_label="shards",
            y_label="ms of processor time",
            series={name: [(took.shards, took.plans_ms[name].median) for took in found.took] for name in _DRAWN_PLANS},
        ),
    ]


def _moved_series(found: Found) -> dict[str, list[tuple[float | str, float]]]:
    placed, kept = ([one for one in all_ if one.capacities == "equal"] for all_ in (found.placed, found.kept))
    return {
        "modulo": [(str(p.shards), p.moved_adding * 100) for p in placed if p.way == MODULO],
        "ours, placed anew": [(str(p.shards), p.moved_adding * 100) for p in placed if p.way == OURS],
        "ours, by rebalancing": [(str(k.shards), k.moved_adding * 100) for k in kept],
    }


def _targets(found: Found) -> list[Target]:
    above = max(p.above_bound for p in found.placed if p.way == OURS)
    others = sum(kept.removed_own != kept.moved_removing for kept in found.kept)
    farthest = max(found.kept, key=lambda kept: kept.moved_adding / kept.fair_adding)
    return [
        Target(
            what=f"sessions of a shard above {_LOAD_FACTOR} of its fair share",
            wanted="0",
            found=str(above),
            met=not above,
        ),
        Target(
            what=f"moved to a new shard beside {farthest.shards}, {farthest.capacities}",
            wanted=f"<= its share, {farthest.fair_adding:.2%}",
            found=f"{farthest.moved_adding:.2%}",
            met=farthest.moved_adding <= farthest.fair_adding,
        ),
        Target(
            what="times that others than a lost shard's own sessions moved",
            wanted="0",
            found=f"{others} of {len(found.kept)}",
            met=not others,
        ),
    ]


if __name__ == "__main__":
    main()
