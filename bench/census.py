"""How long does a census of the bucket take? `python -m bench.census [--sessions N] [--quick] [--json]`.

Against a store of generated objects that answers as R2 does, each request after so many milliseconds: what is measured
is our side, and how the store's distance multiplies. Six archives a session; every tenth has a mark.
"""

import asyncio
import json
import multiprocessing
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import click
from aiohttp import web
from rich.console import Console
from rich.table import Table

from daemon.core.clock import utc_now
from daemon.objectstore.archives import Archives
from daemon.objectstore.census import census
from daemon.objectstore.config import ObjectStoreConfig
from daemon.objectstore.marks import Mark, mark_to_bytes
from daemon.sessions.states import Desired
from tests.servers.child import free_ports

_ARCHIVES = 6
_MARK_EVERY = 10
_PAGE = 1000
_STORED_AT = "2026-01-02T03:04:05.000Z"
_HTTP_DATE = "Fri, 02 Jan 2026 03:04:05 GMT"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One census. `grew_bytes`: the most memory of this process, above that before it."""

    parallel: int
    latency_ms: int
    sessions: int
    seconds: float
    cpu_s: float
    class_a: int
    class_b: int
    grew_bytes: int


def _keys(sessions: int) -> list[str]:
    keys = []
    for number in range(sessions):
        folder = f"workspace_{number % 50}/session-{number}-{number % 50}/"
        keys += [f"{folder}t{5:08d}-g{generation:08d}.zip" for generation in range(_ARCHIVES)]
        if number % _MARK_EVERY == 0:
            keys.append(f"{folder}mark.json")
    return sorted(keys)


def _serve(port: int, sessions: int, latency_ms: int) -> None:
    keys = _keys(sessions)
    mark = mark_to_bytes(Mark(desired=Desired.STOPPED, void_token=0, at=utc_now()))

    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(latency_ms / 1000)
        if "list-type" in request.query:
            return _page(request, keys)
        headers = {"ETag": '"841a2d689ad86bd1611447453c22c6fc"', "Last-Modified": _HTTP_DATE}
        if request.path.endswith("mark.json"):
            return web.Response(body=mark, headers=headers)
        metadata = {"x-amz-meta-user-id": "u", "x-amz-meta-backed-up-at": _STORED_AT}
        return web.Response(headers={**headers, **metadata, "Content-Length": "100000"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


def _page(request: web.Request, keys: list[str]) -> web.Response:
    prefix = request.query["prefix"]
    start = int(request.query.get("continuation-token", "0"))
    mine = [key for key in keys if key.startswith(prefix)]
    shown, more = mine[start : start + _PAGE], len(mine) > start + _PAGE
    contents = "".join(
        f"<Contents><Key>{key}</Key><Size>100000</Size><ETag>&quot;e&quot;</ETag>"
        f"<LastModified>{_STORED_AT}</LastModified></Contents>"
        for key in shown
    )
    token = f"<NextContinuationToken>{start + _PAGE}</NextContinuationToken>" if more else ""
    text = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{contents}</ListBucketResult>"
    return web.Response(text=text, content_type="application/xml")


@contextmanager
def _store(sessions: int, latency_ms: int) -> Iterator[ObjectStoreConfig]:
    port = free_ports(1)
    child = multiprocessing.get_context("spawn").Process(target=_serve, args=(port, sessions, latency_ms), daemon=True)
    child.start()
    try:
        address, key = f"http://127.0.0.1:{port}", "of-nobody"
        yield ObjectStoreConfig(endpoint=address, access_key=key, secret_key=key, bucket="bench", connections=64)
    finally:
        child.terminate()
        child.join()


async def _measure(config: ObjectStoreConfig, *, parallel: int, latency_ms: int) -> Run:
    with ThreadPoolExecutor(parallel) as threads:
        archives = Archives(config, threads)
        while not (await archives.health()).connected:
            await asyncio.sleep(0.05)
        before = resource.getrusage(resource.RUSAGE_SELF)
        began_s, found = time.perf_counter(), 0
        async for _ in census(archives, parallel=parallel):
            found += 1
        took_s, after = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_SELF)
        usage = archives.usage()
    return Run(
        parallel=parallel,
        latency_ms=latency_ms,
        sessions=found,
        seconds=round(took_s, 2),
        cpu_s=round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        class_a=usage.class_a,
        class_b=usage.class_b,
        grew_bytes=(after.ru_maxrss - before.ru_maxrss) * 1024,
    )


@click.command()
@click.option("--sessions", default=3000, help="Sessions in the bucket.")
@click.option("--latency-ms", default=40, help="How long the store takes to answer.")
@click.option("--quick", is_flag=True, help="300 sessions.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def main(sessions: int, latency_ms: int, quick: bool, as_json: bool) -> None:
    """Measure a census on this machine."""
    with _store(300 if quick else sessions, latency_ms) as config:
        runs = [asyncio.run(_measure(config, parallel=n, latency_ms=latency_ms)) for n in (4, 8, 16, 32)]
    if as_json:
        click.echo(json.dumps([asdict(run) for run in runs], indent=1))
        return
    table = Table("at once", "sessions", "seconds", "CPU s", "Class A", "Class B", "memory grew")
    table.caption = f"each request is answered after {latency_ms} ms"
    for run in runs:
        grew = f"{run.grew_bytes / 1e6:.1f} MB"
        table.add_row(*map(str, (run.parallel, run.sessions, run.seconds, run.cpu_s, run.class_a, run.class_b)), grew)
    Console().print(table)


if __name__ == "__main__":
    main()
