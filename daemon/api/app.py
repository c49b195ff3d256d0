"""The HTTP application, put together. It holds no state of its own but the last answers of the health probes."""

from fastapi import FastAPI

from daemon.api import copies, events, health, messages, qr, restore, sessions, shards, webhooks
from daemon.api import tokens as token_routes
from daemon.api.answers import Answer
from daemon.api.auth import TokenGate
from daemon.api.cursors import Cursors
from daemon.api.limits import BodyLimit
from daemon.api.openapi import Api
from daemon.api.ports import Parts
from daemon.api.probes import Probes
from daemon.api.problems import install_problems
from daemon.core.sections import CoordinatorSettings, SendSettings

_ABOUT = """
WhatsApp sessions that survive crashes, restarts and moves without a new QR scan.

Every call but the open health routes needs `Authorization: Bearer <API_TOKEN>`. Errors are `application/problem+json`
with a stable `code`; a failed action says in `outcome` whether it may have happened.
"""


_BASE64_GROWTH = 4 / 3
_LARGE_FOR_EACH_PLACE = 2
"""So that those who wait for a place in vain, which they may for seconds, do not keep out those who would get one."""


def build_app(parts: Parts, settings: CoordinatorSettings, send: SendSettings) -> FastAPI:
    """Return the app that serves these parts; it opens nothing and needs no lifespan."""
    app = Api(
        title="Blazz",
        version="1",
        description=_ABOUT,
        docs_url="/docs",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        default_response_class=Answer,
    )
    app.state.directory = parts.directory
    app.state.restores = parts.restores
    app.state.copies = parts.copies
    app.state.tokens = parts.tokens
    app.state.webhooks = parts.webhooks
    app.state.feed = parts.feed
    app.state.cursors = Cursors(settings.api_token)
    app.state.max_media_bytes = send.max_media_bytes
    app.state.probes = Probes(parts.directory)
    install_problems(app)
    # The one added last comes first: the token is looked at before a byte of the body is.
    app.add_middleware(
        BodyLimit,
        max_body_bytes=settings.max_body_bytes,
        max_media_body_bytes=settings.max_body_bytes + round(send.max_media_bytes * _BASE64_GROWTH),
        large_at_once=send.media_parallel * _LARGE_FOR_EACH_PLACE,
    )
    app.add_middleware(TokenGate, settings=settings, tokens=parts.tokens)
    for part in (sessions, qr, copies, messages, events, restore, shards, token_routes, webhooks, health):
        app.include_router(part.router)
    return app
