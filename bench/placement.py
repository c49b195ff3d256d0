"""How evenly are sessions placed, what moves when shards come and go, and how long does a plan take?
`python -m bench.placement [--quick] [--json]`.

Pure computing: no Redis, no browser. Beside our ring stand the two usual ways: modulo, and a ring without bounds.
"""

import asyncio
import dataclasses
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bench.machine import machine
from daemon.placement.plan import Placeable, plan_moves
from daemon.placement.ring import Ring, ShardLoad, fair_shares

_WIDTH = 110
_ROOM = 1.5
"""Capacity of all shards together, in sessions that there are."""
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


FULL = Size(sessions=100_000, shards=(10, 25, 50, 100), rounds=5, budget=100)
QUICK = Size(sessions=20_000, shards=(10, 100), rounds=2, budget=20)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """One way to place, on some shards. Shares are of all sessions; fullness is of the fair share by capacity."""

    way: str
    shards: int
    capacities: str
    fullest: float
    emptiest: float
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
    looks_adding: int
    """How many looks a rebalancing takes on its budget."""
    moved_twice: int
    fullest_after: float
    emptiest_after: float


@dataclass(frozen=True, kw_only=True)
class Took:
    """Milliseconds that plans take, medians."""

    shards: int
    ring_ms: float
    from_nothing_ms: float
    nothing_to_do_ms: float
    nothing_to_even_out_ms: float
    one_lost_ms: float
    rebalance_look_ms: float
    drain_look_ms: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything that one run found."""

    machine: dict[str, object]
    sessions: int
    budget: int
    placed: list[Placed]
    kept: list[Kept]
    took: list[Took]


@click.command()
@click.option("--quick", is_flag=True, help="Fewer sessions, shards and rounds: some seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def main(quick: bool, as_json: bool) -> None:
    """Measure placement on this machine."""
    found = _measure(QUICK if quick else FULL)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=1))
    else:
        console = Console()
        console.width = max(console.width, _WIDTH)
        _show(found, console)


def _measure(size: Size) -> Found:
    facts = asyncio.run(machine(Path(tempfile.gettempdir())))
    ids = [f"session-{number}-{number % 977}" for number in range(size.sessions)]
    cases = [(count, kind) for kind in ("equal", "1 : 2 : 4") for count in size.shards]
    return Found(
        machine=facts,
        sessions=size.sessions,
        budget=size.budget,
        placed=[_placed(ids, way, count, kind) for count, kind in cases for way in WAYS],
        kept=[_kept(ids, count, kind, size.budget) for count, kind in cases],
        took=[_took(ids, count, size) for count in size.shards],
    )


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
    "modulo": _modulo,
    "ring without bounds": _unbounded,
    "ring with bounded loads": _bounded,
}


def _placed(ids: list[str], way: str, count: int, kind: str) -> Placed:
    more = _loads(count + 1, kind, len(ids), base=count)
    *names, added = more
    loads = {name: more[name] for name in names}
    removed = names[-1]
    fewer = {name: load for name, load in loads.items() if name != removed}
    where, with_more, with_fewer = (WAYS[way](ids, some) for some in (loads, more, fewer))
    fullest, emptiest = _fullness(Counter(where.values()), loads)
    return Placed(
        way=way,
        shards=count,
        capacities=kind,
        fullest=fullest,
        emptiest=emptiest,
        moved_adding=_moved(where, with_more),
        moved_removing=_moved(where, with_fewer),
        fair_adding=fair_shares(more.values(), 1)[added],
        fair_removing=fair_shares(loads.values(), 1)[removed],
    )


def _fullness(counts: Mapping[str, int], loads: Loads) -> tuple[float, float]:
    shares = fair_shares(loads.values(), sum(counts.values()))
    full = [counts.get(name, 0) / shares[name] for name in loads]
    return max(full), min(full)


def _moved(before: Where, after: Where) -> float:
    return sum(before[i] != after[i] for i in before) / len(before)


def _kept(ids: list[str], count: int, kind: str, budget: int) -> Kept:
    more = _loads(count + 1, kind, len(ids), base=count)
    names = list(more)[:count]
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


def _took(ids: list[str], count: int, size: Size) -> Took:
    taken = [_round_of_plans(ids, count, number, size.budget) for number in range(size.rounds)]
    return Took(shards=count, **{name: statistics.median(one[name] for one in taken) for name in taken[0]})


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
        "from_nothing_ms": _ms(plan_moves, [Placeable(session_id=i, shard=None) for i in ids], empty),
        "ring_ms": _ms(Ring, more.values()),
        "nothing_to_do_ms": _ms(plan_moves, settled, loads),
        "nothing_to_even_out_ms": _ms(plan_moves, settled, loads, **even_out),
        "one_lost_ms": _ms(plan_moves, settled, left),
        "rebalance_look_ms": _ms(plan_moves, settled, {**loads, added: more[added]}, **even_out),
        "drain_look_ms": _ms(plan_moves, settled, loads, **drain),
    }


def _ms(work: Callable[..., object], *args: object, **settings: object) -> float:
    """Return the processor time of one call: other processes of the machine do not count."""
    started = time.process_time()
    work(*args, **settings)
    return round((time.process_time() - started) * 1000, 1)


def _show(found: Found, console: Console) -> None:
    console.print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.machine.items()))
    for line in _headlines(found):
        console.print(f"- {line}", style="bold")
    console.print(_placed_table(found))
    console.print(_kept_table(found))
    console.print(_took_table(found))


def _headlines(found: Found) -> list[str]:
    ours, plain = (
        [p for p in found.placed if p.way == way] for way in ("ring with bounded loads", "ring without bounds")
    )
    modulo = [p for p in found.placed if p.way == "modulo" and p.capacities == "equal"]
    adding = max(found.kept, key=lambda kept: kept.moved_adding)
    slowest = max(found.took, key=lambda took: took.from_nothing_ms)
    return [
        f"fullest shard: {max(p.fullest for p in ours):.2f} of its fair share with bounds, "
        f"{max(p.fullest for p in plain):.2f} without",
        f"one shard added: modulo would move {min(p.moved_adding for p in modulo):.0%} or more; "
        f"ours moves nothing, or by rebalancing at most {adding.moved_adding:.1%} ({adding.shards} shards), "
        f"{sum(kept.moved_twice for kept in found.kept)} of them twice",
        f"one shard lost: {sum(kept.removed_own != kept.moved_removing for kept in found.kept)} of {len(found.kept)} "
        "times any other session than its own moved",
        f"{found.sessions} sessions are planned from nothing in {slowest.from_nothing_ms:.0f} ms ({slowest.shards} "
        f"shards); a look with nothing to do takes {max(took.nothing_to_do_ms for took in found.took):.0f} ms",
    ]


def _placed_table(found: Found) -> Table:
    table = Table("shards", "capacities", "way", title=f"{found.sessions} sessions placed from nothing")
    table.caption = "fullest, emptiest: of the fair share by capacity; moved: if everything were placed anew (fair)"
    for title in ("fullest", "emptiest", "moved, one added", "moved, one removed"):
        table.add_column(title, justify="right")
    for p in found.placed:
        table.add_row(
            *(str(p.shards), p.capacities, p.way, f"{p.fullest:.2f}", f"{p.emptiest:.2f}"),
            f"{p.moved_adding:.1%} ({p.fair_adding:.1%})",
            f"{p.moved_removing:.1%} ({p.fair_removing:.1%})",
            end_section=p.way == list(WAYS)[-1],
        )
    return table


def _kept_table(found: Found) -> Table:
    table = Table("shards", "capacities", title="what really moves, as placements are kept")
    table.caption = f"one added: by rebalancing, {found.budget} handovers a look; without it nothing moves"
    for title in ("moved, one removed", "its own", "moved, one added", "looks", "twice", "fullest", "emptiest"):
        table.add_column(title, justify="right")
    for k in found.kept:
        table.add_row(
            *(str(k.shards), k.capacities, f"{k.moved_removing:.2%}", f"{k.removed_own:.2%}", f"{k.moved_adding:.2%}"),
            *(str(k.looks_adding), str(k.moved_twice), f"{k.fullest_after:.2f}", f"{k.emptiest_after:.2f}"),
        )
    return table


def _took_table(found: Found) -> Table:
    titles = {
        "ring_ms": "make the ring",
        "from_nothing_ms": "all from nothing",
        "nothing_to_do_ms": "nothing to do",
        "nothing_to_even_out_ms": "nothing to even out",
        "one_lost_ms": "one shard lost",
        "rebalance_look_ms": f"{found.budget} to a new shard",
        "drain_look_ms": f"drain {found.budget}",
    }
    table = Table("shards", title=f"processor milliseconds of a plan for {found.sessions} sessions, medians")
    table.caption = "a ring is made once for the same capacities; what moves anything includes it here"
    for title in titles.values():
        table.add_column(title, justify="right")
    for took in found.took:
        table.add_row(str(took.shards), *(f"{getattr(took, name):.0f}" for name in titles))
    return table


if __name__ == "__main__":
    main()
