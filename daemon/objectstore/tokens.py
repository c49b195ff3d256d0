"""Where API tokens lie in the bucket: `blazz/tokens/{id}.json`, hashes only. Pure."""

import re

from daemon.core.ids import check_id

TOKENS_PREFIX = "blazz/tokens/"
MAX_TOKEN_BYTES = 65_536
_KEY = re.compile(re.escape(TOKENS_PREFIX) + r"([A-Za-z0-9]{1,100})\.json")


def token_key(token_id: str) -> str:
    """Return the object name of a token.

    Raises:
        InvalidInputError: not a valid id.
    """
    return f"{TOKENS_PREFIX}{check_id(token_id, 'token_id')}.json"


def parse_token_key(key: str) -> str | None:
    """Return the id of the token in an object name; None for any other object."""
    found = _KEY.fullmatch(key)
    return found[1] if found else None
