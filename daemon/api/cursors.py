"""Cursors of lists, sealed: how far a list was looked at may be an id that is not for the caller's eyes.

AES-SIV (RFC 5297) needs no nonce, so nothing is counted or stored, and every coordinator and every restart opens what
another one sealed. All of a list's cursors have one length.
"""

import asyncio
import base64
from functools import cache, cached_property
from typing import Annotated, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from fastapi import Depends, Request
from pydantic import SecretStr

from daemon.core.errors import InvalidInputError

_PLACE_BYTES = 100
"""Longest place, an id; shorter ones are filled up."""
_KEY_BYTES = 64
_PURPOSE = b"blazz cursor, format 1"


class Cursors:
    """Seals places in lists with a key that is derived from API_TOKEN, which all coordinators share."""

    def __init__(self, api_token: SecretStr) -> None:
        self._api_token = api_token

    @cached_property
    def _cipher(self) -> AESSIV:
        return AESSIV(_key(self._api_token.get_secret_value()))

    async def get_ready(self) -> None:
        """Derive the key, if that is still to be done: too slow for the event loop, and for every start."""
        if "_cipher" not in vars(self):
            await asyncio.to_thread(lambda: self._cipher)

    def seal(self, of: str, place: str | None) -> str | None:
        """Return the cursor for a place in the list `of`; None for None, the end."""
        if place is None:
            return None
        filled = place.encode().ljust(_PLACE_BYTES, b"\0")
        return base64.urlsafe_b64encode(self._cipher.encrypt(filled, [of.encode()])).decode().rstrip("=")

    def open(self, of: str, cursor: str | None) -> str | None:
        """Return the place that a cursor of the list `of` was sealed for; None for None, the beginning.

        Raises:
            InvalidInputError: of another list or installation, from before another API_TOKEN, or made up.
        """
        if cursor is None:
            return None
        try:
            sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            return self._cipher.decrypt(sealed, [of.encode()]).rstrip(b"\0").decode()
        except (ValueError, InvalidTag):
            raise InvalidInputError(
                "not a cursor of this list", hint="pass next_cursor as it was given, or begin anew", field="cursor"
            ) from None


@cache
def _key(api_token: str) -> bytes:
    # Slow, once a process: a person may have chosen the token, and whoever has a cursor could try guesses on it.
    return Scrypt(salt=_PURPOSE, length=_KEY_BYTES, n=2**15, r=8, p=1).derive(api_token.encode())


async def _cursors(request: Request) -> Cursors:
    cursors = cast(Cursors, request.app.state.cursors)
    await cursors.get_ready()
    return cursors


CursorsOf = Annotated[Cursors, Depends(_cursors)]
