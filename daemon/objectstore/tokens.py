"""Where API tokens lie in the bucket: `blazz/tokens/{id}.json`, hashes only; and the bucket's own id. Pure.

The id is made by the first leader that looks for tokens in a bucket. It tells a bucket that has been compared with
Redis, in which a token that is not there was revoked, from another one, which says nothing about it.
"""

import re

from daemon.core.errors import DamagedError
from daemon.core.ids import check_id, is_id

TOKENS_PREFIX = "blazz/tokens/"
MAX_TOKEN_BYTES = 65_536
BUCKET_ID_KEY = "blazz/bucket-id"
MAX_BUCKET_ID_BYTES = 1024
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


def bucket_id_from(content: bytes) -> str:
    """Return the id in an object.

    Raises:
        DamagedError: it is none.
    """
    bucket_id = content.decode("ascii", errors="replace")
    if not is_id(bucket_id):
        raise DamagedError("the bucket's id cannot be read")
    return bucket_id
