"""What happens in one schedule, as a pure function of its seed."""

import random
from dataclasses import dataclass
from enum import StrEnum

from tests.faults.simulation.pace import LEASE_TTL_S

FAULTS_LAST_S = 3.0
REDIS = "redis"


class Blow(StrEnum):
    """What is done to a process."""

    KILL = "kill"
    """SIGKILL; it is started again `for_s` later."""
    END = "end"
    """SIGTERM; it is started again `for_s` after its exit."""
    STOP = "stop"
    """SIGSTOP, and SIGCONT `for_s` later."""
    HANG = "hang"
    """Its line to Redis hangs for `for_s`; what was under way arrives then."""
    BREAK = "break"
    """Its line to Redis is broken for `for_s`."""
    JUMP = "jump"
    """Its wall clock is `for_s` ahead from now on."""
    SAVE = "save"
    """Redis writes a dump, to which a later kill takes it back."""
    EMPTY = "empty"
    """Redis forgets everything."""


class Wish(StrEnum):
    """What is asked of a session, as over the API."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    DELETE = "delete"
    CREATE = "create"


class Listening(StrEnum):
    """When the ends of shards are reported."""

    NEVER = "never"
    """As without supervisord: leases end by their TTL."""
    AT_ONCE = "at once"
    LATE = "late"
    """Up to some seconds late: the next process may run by then."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One blow, `at_s` after all sessions were connected."""

    at_s: float
    blow: Blow
    target: str
    for_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One wish, `at_s` after all sessions were connected."""

    at_s: float
    wish: Wish
    session: int


@dataclass(frozen=True, kw_only=True)
class Drain:
    """A shard is drained `at_s` after all sessions were connected, and takes sessions again `for_s` later."""

    at_s: float
    shard: str
    for_s: float


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Everything that is done in one schedule. `lossy`: Redis may lose data in it."""

    seed: int
    shards: int
    coordinators: int
    sessions: int
    faults: tuple[Fault, ...]
    wishes: tuple[Asked, ...]
    drains: tuple[Drain, ...] = ()
    listening: Listening = Listening.NEVER
    lossy: bool = False
    breaks: tuple[str, ...] = ()
    """What of the product is deliberately broken; see `breaking`."""

    @property
    def reached_over_a_line(self) -> frozenset[str]:
        """The processes whose line to Redis is touched."""
        return frozenset(fault.target for fault in self.faults if fault.blow in {Blow.HANG, Blow.BREAK})

    def __str__(self) -> str:
        steps = [(fault.at_s, f"{fault.blow} {fault.target} {fault.for_s:.2f}") for fault in self.faults]
        steps += [(asked.at_s, f"{asked.wish} session {asked.session}") for asked in self.wishes]
        steps += [(drain.at_s, f"drain {drain.shard} {drain.for_s:.2f}") for drain in self.drains]
        lines = [f"  {at_s:5.2f}  {step}" for at_s, step in sorted(steps)]
        head = f"seed {self.seed}: {self.shards} shards, {self.coordinators} coordinators, {self.sessions} sessions"
        head += f", exits are reported {self.listening}" + (", Redis may lose data" if self.lossy else "")
        return "\n".join([head, *lines])


_SHARD_BLOWS = {Blow.KILL: 4, Blow.END: 2, Blow.STOP: 5, Blow.HANG: 3, Blow.BREAK: 2, Blow.JUMP: 1}
_COORDINATOR_BLOWS = {Blow.KILL: 3, Blow.STOP: 2, Blow.HANG: 2, Blow.BREAK: 1, Blow.JUMP: 1}
_REDIS_BLOWS = {Blow.STOP: 3, Blow.KILL: 2}
_LOSSES = {Blow.EMPTY: 2, Blow.KILL: 2, Blow.STOP: 1}


def make_schedule(seed: int, *, lossy: bool | None = None) -> Schedule:
    """Return the schedule of a seed; every fifth one has a Redis that loses data, unless `lossy` says otherwise."""
    choices = random.Random(seed)
    lossy = seed % 5 == 4 if lossy is None else lossy
    shards, coordinators, sessions = choices.randint(2, 3), choices.choice([1, 1, 2]), choices.randint(2, 4)
    faults = [_fault(choices, shards, coordinators) for _ in range(choices.randint(2, 4))]
    if lossy:
        faults += _losses(choices)
    elif choices.random() < 0.35:
        faults.append(_blow(choices, REDIS, _REDIS_BLOWS))
    wishes = [
        Asked(at_s=_when(choices), wish=choices.choice(list(Wish)), session=choices.randrange(sessions))
        for _ in range(choices.randint(0, 4))
    ]
    return Schedule(
        seed=seed,
        shards=shards,
        coordinators=coordinators,
        sessions=sessions,
        faults=tuple(sorted(faults, key=lambda fault: fault.at_s)),
        wishes=tuple(sorted(wishes, key=lambda asked: asked.at_s)),
        drains=_drains(random.Random(f"drains {seed}"), shards),
        listening=random.Random(f"listening {seed}").choice(list(Listening)),
        lossy=lossy,
    )


def _drains(choices: random.Random, shards: int) -> tuple[Drain, ...]:
    """Return what is drained, in two of five schedules; it may be every shard at once."""
    return tuple(
        Drain(at_s=_when(choices), shard=f"shard_{number:02d}", for_s=choices.uniform(0.1, FAULTS_LAST_S))
        for number in choices.sample(range(shards), choices.choice([0, 0, 0, 1, 2]))
    )


def _fault(choices: random.Random, shards: int, coordinators: int) -> Fault:
    if choices.random() < 0.75:
        return _blow(choices, f"shard_{choices.randrange(shards):02d}", _SHARD_BLOWS)
    return _blow(choices, f"coordinator_{choices.randrange(coordinators)}", _COORDINATOR_BLOWS)


def _losses(choices: random.Random) -> list[Fault]:
    """Return a dump and, some time later, what makes Redis lose what came after it, or everything."""
    saved = Fault(at_s=choices.uniform(0.0, FAULTS_LAST_S / 2), blow=Blow.SAVE, target=REDIS)
    lost = [_blow(choices, REDIS, _LOSSES) for _ in range(choices.randint(1, 2))]
    return [saved, *lost]


def _blow(choices: random.Random, target: str, blows: dict[Blow, int]) -> Fault:
    blow = choices.choices(list(blows), weights=list(blows.values()))[0]
    return Fault(at_s=_when(choices), blow=blow, target=target, for_s=_how_long(choices, blow))


def _when(choices: random.Random) -> float:
    return choices.uniform(0.0, FAULTS_LAST_S)


def _how_long(choices: random.Random, blow: Blow) -> float:
    if blow is Blow.JUMP:
        return choices.choice([-86400.0, -30.0, 30.0, 86400.0, 10 * 365 * 86400.0])
    # Around the life of a lease, as that is where everything is decided.
    return LEASE_TTL_S * choices.choice(
        [choices.uniform(0.02, 0.3), choices.uniform(0.6, 1.0), choices.uniform(1.0, 1.6)]
    )
