"""How fast do sessions get into the bucket and back, without browsers? `python -m bench.archive`.

Profiles of real Chromiums go the product's way, step by step, on tmpfs and on the disk, plain and encrypted: snapshot,
pack, upload, download, verify, unpack, and whole restores by the product's `Restorer`. Beside that stand plain
`zipfile` on the same trees, and the S3 server alone: objects of the same size put and got, and nothing done with them.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bench.archive_steps import DISK_THREADS, Pace, Sessions, local_paces, zipfile_paces
from bench.archive_store import (
    ALONE,
    DOWNLOAD,
    GET,
    PUT,
    RESTORE,
    STORE_THREADS,
    UNPACKED,
    UPLOAD,
    limit_paces,
    shard_on,
    store_paces,
)
from bench.form import Advance, Run, bench
from bench.profiles import log_in
from bench.report import Chart, Report, Spread, Table, Target
from shards.archive.keyring import Keyring
from tests.integration.profile.copies import KEYRING
from tests.servers.redis import redis_server
from tests.servers.s3 import S3Server, r2local_server, swift_server

_KEYRINGS = {"plain": Keyring({}), "encrypted": KEYRING}
_SERVERS = {"local R2": r2local_server, "Swift": swift_server}
_TMPFS, _DISK = "tmpfs", "disk"
_PLACES = {"local R2": (_TMPFS, _DISK), "Swift": (_TMPFS,)}
"""Where a server's archives are received. Swift alone is slower than any disk."""
_WANTED_PER_S = 100
_LIMIT_OF = {UPLOAD: PUT, DOWNLOAD: GET, UNPACKED: GET, RESTORE: GET}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One step in one way and place; `server` is None for what needs none."""

    place: str
    server: str | None
    way: str
    step: str
    threads: int
    sessions_per_s: Spread
    mb_per_s: float
    """Of the unpacked files; with a server in it, of the archives."""
    cpu_ms: float
    """Processor time of this process for each session, the median."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What one session has, in bytes, on average."""

    tree: float
    archive: float


@bench(title="How many sessions a second get into the bucket and back, without browsers?")
@click.option("--sessions", default=100, show_default=True, type=click.IntRange(1, 2000))
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(1, 20), help="After a warm-up each.")
async def main(run: Run, *, sessions: int, repeats: int) -> Report:
    """Needs local R2 (`bin/setup --tests`), Swift, Redis and Chromium."""
    count, repeats, logins = (4, 1, 1) if run.quick else (sessions, repeats, 4)
    (run.work / "logins").mkdir()
    with run.progress("logging in", 1):
        made = await log_in(run.work / "logins", logins)
    with _folders(run.work) as folders:
        fleets = {name: Sessions.copied(made, folder, count, seed=run.seed) for name, folder in folders.items()}
        sizes = _sizes(fleets[_TMPFS])
        steps = len(fleets) * 3 + sum(1 + 2 * len(places) for places in _PLACES.values())
        with run.progress("measuring", steps) as advance:
            found = _without_server(fleets, sizes, repeats, advance)
            with redis_server() as redis_url:
                for server, start in _SERVERS.items():
                    with start() as store:
                        found += await _with_server(server, store, redis_url, fleets, sizes, repeats, advance)
    return _report(found, sizes, count)


@contextmanager
def _folders(work: Path) -> Iterator[dict[str, Path]]:
    """Give a directory in memory and one on the disk."""
    with ExitStack() as stack:
        memory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir="/dev/shm"))
        disk = work / "disk"
        disk.mkdir()
        yield {_TMPFS: Path(memory), _DISK: disk}


def _sizes(sessions: Sessions) -> Sizes:
    snapshots, archives = sessions.room("snapshots"), sessions.room("archives")
    trees, sizes = [], []
    for number in range(sessions.count):
        sessions.snapshot(number, snapshots)
        packed = sessions.packed(number, snapshots, archives, 1, _KEYRINGS["plain"])
        trees.append(sum(file.size_bytes for file in packed.manifest.files))
        sizes.append(packed.size_bytes)
    return Sizes(tree=sum(trees) / len(trees), archive=sum(sizes) / len(sizes))


def _without_server(fleets: dict[str, Sessions], sizes: Sizes, repeats: int, advance: Advance) -> list[Measured]:
    found: list[Measured] = []
    for place, sessions in fleets.items():
        for way, keyring in _KEYRINGS.items():
            found += _summed(place, None, local_paces(sessions, way, keyring, repeats), sizes.tree)
            advance()
        found += _summed(place, None, zipfile_paces(sessions, repeats), sizes.tree)
        advance()
    return found


async def _with_server(
    server: str,
    store: S3Server,
    redis_url: str,
    fleets: dict[str, Sessions],
    sizes: Sizes,
    repeats: int,
    advance: Advance,
) -> list[Measured]:
    count = next(iter(fleets.values())).count
    bodies = [number.to_bytes(8, "big") * (round(sizes.archive) // 8) for number in range(count)]
    found = _summed("", server, limit_paces(store, bodies, repeats), sizes.archive)
    advance()
    above = 0
    for place in _PLACES[server]:
        sessions = fleets[place]
        for way, keyring in _KEYRINGS.items():
            async with shard_on(store, redis_url, sessions.folder / "shard", keyring) as shard:
                paces = await store_paces(sessions, shard, way, repeats, above=above)
            found += _summed(place, server, paces, sizes.archive)
            above += repeats + 1
            advance()
    return found


def _summed(place: str, server: str | None, paces: Iterable[Pace], size_bytes: float) -> list[Measured]:
    found = []
    for pace in paces:
        rate = Spread.of(pace.sessions_per_s)
        found.append(
            Measured(
                place=place,
                server=server,
                way=pace.way,
                step=pace.step,
                threads=pace.threads,
                sessions_per_s=rate,
                mb_per_s=rate.median * size_bytes / 1e6,
                cpu_ms=Spread.of(pace.cpu_ms).median,
            )
        )
    return found


def _report(found: list[Measured], sizes: Sizes, count: int) -> Report:
    limits = {(m.server, m.step): m.sessions_per_s.median for m in found if m.way == ALONE}
    unpacked = [m for m in found if m.step == UNPACKED and m.place == _TMPFS]
    return Report(
        headlines=[
            f"{count} sessions, {sizes.tree / 1000:.0f} kB of files and {sizes.archive / 1000:.0f} kB of archive each",
            *(_headline(m, limits[m.server, GET]) for m in unpacked),
        ],
        tables=[
            *(_local_table(found, place) for place in (_TMPFS, _DISK)),
            *(_store_table(found, limits, server) for server in _SERVERS),
        ],
        data={
            "sessions": count,
            "tree_bytes": round(sizes.tree),
            "archive_bytes": round(sizes.archive),
            "measured": [asdict(measured) for measured in found],
        },
        charts=[_local_chart(found, place) for place in (_TMPFS, _DISK)] + [_store_chart(found)],
        targets=[_target(m, limits[m.server, GET]) for m in unpacked],
    )


def _headline(measured: Measured, limit_per_s: float) -> str:
    return (
        f"{measured.server}, {measured.way}, on tmpfs: {measured.sessions_per_s.median:.0f} sessions a second "
        f"downloaded, verified and unpacked; the server alone gives {limit_per_s:.0f} such objects a second"
    )


def _target(measured: Measured, limit_per_s: float) -> Target:
    return Target(
        what=f"{UNPACKED} on tmpfs, sessions/s, {measured.server}, {measured.way} (server alone: {limit_per_s:.0f})",
        wanted=f">= {_WANTED_PER_S}",
        found=measured.sessions_per_s.text(".0f"),
        met=measured.sessions_per_s.median >= _WANTED_PER_S,
    )


def _local_table(found: list[Measured], place: str) -> Table:
    here = [m for m in found if m.place == place and m.server is None]
    rows = []
    for one in (m for m in here if m.threads == 1):
        many = next(m for m in here if (m.step, m.way, m.threads) == (one.step, one.way, DISK_THREADS))
        rows.append((f"{one.step}, {one.way}", *_cells(one), *_cells(many)))
    return Table(
        title=f"without a server, on {'tmpfs' if place == _TMPFS else 'the disk'}",
        columns=("", "1 thread: sessions/s", "MB/s", "CPU ms", f"{DISK_THREADS} threads: sessions/s", "MB/s", "CPU ms"),
        rows=rows,
        caption="pack hashes every file and seals the archive; unpack verifies all that verify does and brings every "
        "file to the disk; zipfile checks CRCs and brings nothing there",
    )


def _store_table(found: list[Measured], limits: dict[tuple[str | None, str], float], server: str) -> Table:
    rows = []
    for m in (m for m in found if m.server == server):
        share = "" if m.way == ALONE else f"{m.sessions_per_s.median / limits[server, _LIMIT_OF[m.step]]:.0%}"
        rows.append((", ".join(part for part in (m.step, m.way, m.place) if part), *_cells(m), share))
    return Table(
        title=f"with {server}, {STORE_THREADS} requests at once",
        columns=("", "sessions/s", "MB/s", "CPU ms", "of the server alone"),
        rows=rows,
        caption="MB/s of archives; CPU of this process, the server has the same cores; its files are on the disk",
    )


def _cells(measured: Measured) -> tuple[str, str, str]:
    return measured.sessions_per_s.text(".0f"), f"{measured.mb_per_s:.1f}", f"{measured.cpu_ms:.1f}"


def _local_chart(found: list[Measured], place: str) -> Chart:
    shown = [m for m in found if m.place == place and m.server is None and m.threads == DISK_THREADS]
    steps = ("pack", "unpack")
    rates = {(m.way, m.step): m.sessions_per_s.median for m in shown}
    return Chart(
        title=f"on {'tmpfs' if place == _TMPFS else 'the disk'}, {DISK_THREADS} threads",
        x_label="",
        y_label="sessions/s",
        kind="bars",
        series={step: [(way, rate) for (way, of), rate in rates.items() if of == step] for step in steps},
    )


def _store_chart(found: list[Measured]) -> Chart:
    rates = {
        (m.server or "", m.step if m.way == ALONE else f"{m.step}, {m.way}"): m.sessions_per_s.median
        for m in found
        if m.server is not None and m.place in {"", _TMPFS}
    }
    names = list(dict.fromkeys(name for _, name in rates))
    return Chart(
        title="with an S3 server, on tmpfs",
        x_label="",
        y_label="sessions/s",
        kind="bars",
        series={server: [(name, rates[server, name]) for name in names] for server in _SERVERS},
        target=_WANTED_PER_S,
    )


if __name__ == "__main__":
    main()
