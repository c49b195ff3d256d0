"""The HTTP application, put together. It holds no state of its own but the last answers of the health probes."""

from fastapi import FastAPI

from daemon.api import health, messages, qr, restore, sessions, shards
from daemon.api.auth import TokenGate
from daemon.api.limits import BodyLimit
from daemon.api.openapi import Api
from daemon.api.ports import Restores, SessionDirectory
from daemon.api.probes import Probes
from daemon.api.problems import install_problems
from daemon.core.sections import CoordinatorSettings

_ABOUT = """
WhatsApp sessions that survive crashes, restarts and moves without a new QR scan.

Every call but the open health routes needs `Authorization: Bearer <API_TOKEN>`. Errors are `application/problem+json`
with a stable `code`; a failed action says in `outcome` whether it may have happened.
"""


def build_app(directory: SessionDirectory, restores: Restores, settings: CoordinatorSettings) -> FastAPI:
    """Return the app that serves this directory and these restore jobs; it opens nothing and needs no lifespan."""
    app = Api(
        title="Blazz",
        version="1",
        description=_ABOUT,
        docs_url="/docs",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    app.state.directory = directory
    app.state.restores = restores
    app.state.probes = Probes(directory)
    install_problems(app)
    # The one added last comes first: the token is looked at before a byte of the body is.
    app.add_middleware(BodyLimit, max_body_bytes=settings.max_body_bytes)
    app.add_middleware(TokenGate, token=settings.api_token)
    for part in (sessions, qr, messages, restore, shards, health):
        app.include_router(part.router)
    return app
