"""Takes webhooks and says how long each was on its way: `python -m bench.receiver`.

Used by `bench.webhooks`, which starts it and ends it. It prints its address when it listens.
"""

import asyncio
import time

from aiohttp import web

from daemon.core.clock import parse_iso

DEAD = "session-dead"
"""The session of which every event is refused."""
SLOW_S = 1.0


class _Receiver:
    def __init__(self) -> None:
        self._lags_s: list[float] = []
        self._last: dict[str, int] = {}
        self._taken = 0
        self._out_of_order = 0

    async def take(self, request: web.Request) -> web.Response:
        """Take an event, but none of the dead session."""
        event = await request.json()
        if event["session_id"] == DEAD:
            return web.Response(status=500)
        self._taken += 1
        self._lags_s.append(time.time() - parse_iso(event["timestamp"]).timestamp())
        number = event["data"]["n"]
        self._out_of_order += number <= self._last.get(event["session_id"], -1)
        self._last[event["session_id"]] = number
        return web.Response()

    async def take_slowly(self, request: web.Request) -> web.Response:
        """Take an event after a while."""
        await request.read()
        await asyncio.sleep(SLOW_S)
        return web.Response()

    async def report(self, _request: web.Request) -> web.Response:
        """Say what came since the last report."""
        lags, self._lags_s = self._lags_s, []
        return web.json_response({"taken": self._taken, "out_of_order": self._out_of_order, "lags_s": lags})


async def _serve() -> None:
    receiver = _Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    app.router.add_post("/slow", receiver.take_slowly)
    app.router.add_get("/report", receiver.report)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
