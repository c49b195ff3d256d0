"""What the browser loads: the page with its policy headers, its scripts, the service worker, the bulk files."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

from aiohttp import web

from tests.standin.bulk import BulkFiles, chunk_sizes
from tests.standin.fields import encode
from tests.standin.loopback import Respond, only_hosts
from tests.standin.messages import MESSAGE_TYPES
from tests.standin.options import Options
from tests.standin.wire import Wire

STATIC = Path(__file__).parent / "static"
WA_VERSION = "2.3000.1045220589"
SITE_HOST = "web.whatsapp.com"
STALLING = "connection.js"
IMMUTABLE = "public, max-age=31536000, immutable"


class Site:
    """The aiohttp application of the site port."""

    def __init__(self, options: Options, wire: Wire) -> None:
        self._options = options
        self._wire = wire
        self._bulk = BulkFiles()
        self._static = {path.name: path.read_bytes() for path in STATIC.iterdir()}
        self.requests = 0
        self.bulk_requests = 0
        self.app = web.Application(middlewares=[self._count, only_hosts(SITE_HOST)])
        self.app.add_routes(
            [
                web.get("/", self._index),
                web.get("/ws/chat", wire.serve),
                web.get("/mms", self._media),
                web.get("/sw.js", self._service_worker),
                web.get("/check-update", self._check_update),
                web.get(r"/rsrc/{kind:[sh]}/{index:\d{1,6}}.js", self._bulk_file),
                web.get("/rsrc/manifest.json", self._manifest),
                web.get(r"/static/{name:[\w.-]+\.js}", self._script),
                web.get("/favicon.ico", self._no_icon),
            ]
        )

    @web.middleware
    async def _count(self, request: web.Request, handler: Respond) -> web.StreamResponse:
        self.requests += 1
        return await handler(request)

    async def _index(self, request: web.Request) -> web.Response:
        nonce = encode(os.urandom(12))
        config = {
            "version": WA_VERSION,
            "refTtl": self._options.ref_ttl_ms,
            "syncMs": self._options.sync_ms,
            "coldMs": self._options.cold_ms,
            "prepMs": self._options.prep_ms,
            "sw": self._options.sw_mb > 0,
            "httpFiles": self._bulk_urls("h"),
            "messageTypes": MESSAGE_TYPES,
        }
        html = self._static["index.html"].decode().replace("{{NONCE}}", nonce)
        html = html.replace("{{CFG}}", json.dumps(config).replace("<", "\\u003c"))
        if self._options.deferred:
            html = html.replace('.js"></script>', '.js" defer></script>')
        return web.Response(text=html, content_type="text/html", headers=self._page_headers(nonce))

    def _page_headers(self, nonce: str) -> dict[str, str]:
        headers = {
            "Cache-Control": "private, no-cache",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
        }
        if self._options.csp:
            headers["Content-Security-Policy"] = content_security_policy(nonce, self._options.trusted_types)
        return headers

    async def _media(self, request: web.Request) -> web.Response:
        content = self._wire.media.get(request.query.get("hash", ""))
        if content is None:
            raise web.HTTPNotFound()
        return web.Response(body=content, content_type="application/octet-stream")

    async def _script(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = self._static.get(name)
        if body is None:
            raise web.HTTPNotFound()
        if name == STALLING:
            await self._stall()
        return script(body, "no-cache")

    async def _stall(self) -> None:
        ends_at = time.monotonic() + self._options.stall_ms / 1000
        while self._options.stall_ms > 0 and time.monotonic() < ends_at:
            await asyncio.sleep(0.02)

    async def _service_worker(self, request: web.Request) -> web.Response:
        response = script(self._static["sw.js"], "no-cache")
        response.headers["Service-Worker-Allowed"] = "/"
        return response

    async def _check_update(self, request: web.Request) -> web.Response:
        return web.json_response({"isBroken": False, "isBelowSoft": False, "currentVersion": WA_VERSION})

    async def _no_icon(self, request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def _manifest(self, request: web.Request) -> web.Response:
        return web.json_response([url for url, _ in self._bulk_urls("s")], headers={"Cache-Control": "no-store"})

    async def _bulk_file(self, request: web.Request) -> web.Response:
        kind, index = request.match_info["kind"], int(request.match_info["index"])
        sizes = self._bulk_sizes(kind)
        if index >= len(sizes):
            raise web.HTTPNotFound()
        self.bulk_requests += 1
        return script(await self._bulk.get(kind, index, sizes[index]), IMMUTABLE)

    def _bulk_sizes(self, kind: str) -> list[int]:
        return chunk_sizes(self._options.sw_mb if kind == "s" else self._options.http_mb)

    def _bulk_urls(self, kind: str) -> list[tuple[str, int]]:
        return [(f"/rsrc/{kind}/{index}.js", size) for index, size in enumerate(self._bulk_sizes(kind))]


def script(body: bytes, cache_control: str) -> web.Response:
    """A JavaScript answer."""
    return web.Response(
        body=body, content_type="application/javascript", charset="utf-8", headers={"Cache-Control": cache_control}
    )


def content_security_policy(nonce: str, trusted_types: bool) -> str:
    """A policy as strict as the real site's where it matters to injected scripts: no inline script, no eval."""
    policy = (
        f"default-src 'self' data: blob:; "
        f"script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval' https://static.whatsapp.net; "
        "style-src 'self' 'unsafe-inline'; "
        "connect-src 'self' wss://web.whatsapp.com ws: wss: blob: data: https://*.whatsapp.net; "
        "img-src * data: blob:; media-src 'self' data: blob:; worker-src 'self' blob:; "
        "object-src 'none'; frame-ancestors 'self'"
    )
    if trusted_types:
        policy += "; require-trusted-types-for 'script'; trusted-types default standin"
    return policy
