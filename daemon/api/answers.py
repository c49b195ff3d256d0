"""How answers become JSON. They show text that a page or a caller wrote, in which anything may be."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BeforeValidator
from starlette.responses import JSONResponse


class Answer(JSONResponse):
    """JSON in UTF-8, in which half an emoji becomes `?`, as in a webhook: UTF-8 has no bytes for it."""

    def render(self, content: Any) -> bytes:
        """Return the bytes of the answer."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode(errors="replace")


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="replace").decode()
    if isinstance(value, Mapping):
        return {_readable(name): _readable(one) for name, one in value.items()}
    return [_readable(one) for one in value] if isinstance(value, list | tuple) else value


Readable = BeforeValidator(_readable)
"""The same for a mapping with names of any kind, before pydantic sees them: it refuses such names itself."""
