"""A store of generated objects that answers as R2 does: `python -m bench.bucket --sessions N --latency-ms MS`.

Used by `bench.census`, which starts it and ends it. Six archives a session; every tenth has a mark. It prints its
address when it listens.
"""

import asyncio

import click
from aiohttp import web

from daemon.core.clock import utc_now
from daemon.objectstore.marks import Mark, mark_to_bytes
from daemon.sessions.states import Desired

_ARCHIVES = 6
_MARK_EVERY = 10
_PAGE = 1000
_STORED_AT = "2026-01-02T03:04:05.000Z"
_HTTP_DATE = "Fri, 02 Jan 2026 03:04:05 GMT"


@click.command()
@click.option("--sessions", required=True, type=int, help="Sessions in the bucket.")
@click.option("--latency-ms", required=True, type=float, help="How long each answer takes.")
def main(sessions: int, latency_ms: float) -> None:
    """Serve until ended."""
    asyncio.run(_serve(_keys(sessions), latency_ms / 1000))


def _keys(sessions: int) -> list[str]:
    keys = []
    for number in range(sessions):
        folder = f"workspace_{number % 50}/session-{number}-{number % 50}/"
        keys += [f"{folder}t{5:08d}-g{generation:08d}.zip" for generation in range(_ARCHIVES)]
        if number % _MARK_EVERY == 0:
            keys.append(f"{folder}mark.json")
    return sorted(keys)


async def _serve(keys: list[str], latency_s: float) -> None:
    mark = mark_to_bytes(Mark(desired=Desired.STOPPED, void_token=0, at=utc_now()))

    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(latency_s)
        if "list-type" in request.query:
            return _page(request, keys)
        headers = {"ETag": '"841a2d689ad86bd1611447453c22c6fc"', "Last-Modified": _HTTP_DATE}
        if request.path.endswith("mark.json"):
            return web.Response(body=mark, headers=headers)
        metadata = {"x-amz-meta-user-id": "u", "x-amz-meta-backed-up-at": _STORED_AT}
        return web.Response(headers={**headers, **metadata, "Content-Length": "100000"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


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


if __name__ == "__main__":
    main()
