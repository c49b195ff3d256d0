"""The QR code or pairing code that a session shows now: short-lived, a secret, never in the record."""

from daemon.core.clock import iso, parse_iso, utc_now
from daemon.registry import keys
from daemon.registry.link import RedisLink
from daemon.registry.records import check_held_answer
from daemon.sessions.record import PairingCode, QrCode

CODE_TTL_MS = 240_000
"""Longer than a pairing code lives at WhatsApp (about 3 minutes); the shard clears a code that left the page."""


class Codes:
    """Codes on display."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def show_qr(self, session_id: str, token: int, text: str) -> None:
        """Put a QR code on display instead of what was there."""
        await self._put(session_id, token, {"qr": text, "seen_at": iso(utc_now())})

    async def show_pairing_code(self, session_id: str, token: int, code: str, phone: str) -> None:
        """Put a pairing code on display instead of what was there."""
        await self._put(session_id, token, {"code": code, "phone": phone, "seen_at": iso(utc_now())})

    async def clear(self, session_id: str, token: int) -> None:
        """Show nothing."""
        await self._put(session_id, token, {})

    async def _put(self, session_id: str, token: int, fields: dict[str, str]) -> None:
        flat = [part for pair in fields.items() for part in pair]
        answer = await self._link.run(
            "put_code", [keys.code(session_id), keys.token(session_id)], [token, CODE_TTL_MS, *flat]
        )
        check_held_answer(answer, session_id, token)

    async def get(self, session_id: str) -> QrCode | PairingCode | None:
        """Return what is on display, or None."""
        async with self._link.asking("read a code"):
            fields = await self._link.text.hgetall(keys.code(session_id))
        if not fields:
            return None
        seen_at = parse_iso(fields["seen_at"])
        if "qr" in fields:
            return QrCode(text=fields["qr"], seen_at=seen_at)
        return PairingCode(code=fields["code"], phone=fields["phone"], seen_at=seen_at)
