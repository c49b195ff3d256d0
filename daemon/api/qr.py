"""The QR code of a session, drawn as the caller's `Accept` asks. It is a secret: whoever scans it is linked."""

import asyncio
import io
from typing import Any

import segno
from fastapi import APIRouter, Request, Response, Security
from pydantic import BaseModel, Field

from daemon.api.accept import choose
from daemon.api.access import DirectoryOf
from daemon.api.auth import documented_bearer
from daemon.api.errors import NotAcceptableError
from daemon.api.fields import Instant, SessionIdInPath
from daemon.api.openapi import problems
from daemon.api.sessions import SESSIONS_PATH
from daemon.core.errors import CodeNotAvailableError, InvalidInputError, SessionNotFoundError
from daemon.sessions.record import QrCode

PNG, SVG, JSON, TEXT = OFFERS = ("image/png", "image/svg+xml", "application/json", "text/plain")

_SCALE = 8
_QUIET_ZONE_MODULES = 4

router = APIRouter(prefix=SESSIONS_PATH, tags=["sessions"], dependencies=[Security(documented_bearer)])


class QrBody(BaseModel):
    """A QR code as JSON."""

    text: str = Field(description="What the phone reads.")
    image: str = Field(description="PNG as a data URL, fit for `<img src>`.")
    seen_at: Instant


_CONTENT: dict[str, Any] = {
    PNG: {"schema": {"type": "string", "format": "binary"}},
    SVG: {"schema": {"type": "string"}},
    TEXT: {"schema": {"type": "string"}},
}


@router.get(
    "/{session_id}/qr",
    response_model=QrBody,
    responses=problems(SessionNotFoundError, InvalidInputError, CodeNotAvailableError, NotAcceptableError)
    | {200: {"description": "The QR code, PNG unless `Accept` asks otherwise.", "content": _CONTENT}},
)
async def get_qr(session_id: SessionIdInPath, request: Request, directory: DirectoryOf) -> Response:
    """Show the QR code that waits for a scan. It changes about every 20 seconds: ask again."""
    media = choose(request.headers.get("accept"), OFFERS)
    if media is None:
        raise NotAcceptableError("no such form of a QR code", hint=f"Accept may be {', '.join(OFFERS)}")
    code = await directory.qr(session_id)
    body = await asyncio.to_thread(_drawn, code, media)
    return Response(body, media_type=media, headers={"Cache-Control": "no-store", "Vary": "Accept"})


def _drawn(code: QrCode, media: str) -> bytes:
    if media == TEXT:
        return code.text.encode()
    picture = segno.make_qr(code.text, error="l", boost_error=False)
    if media == JSON:
        image = picture.png_data_uri(scale=_SCALE, border=_QUIET_ZONE_MODULES)
        return QrBody(text=code.text, image=image, seen_at=code.seen_at).model_dump_json().encode()
    out = io.BytesIO()
    picture.save(out, kind="svg" if media == SVG else "png", scale=_SCALE, border=_QUIET_ZONE_MODULES, light="white")
    return out.getvalue()
