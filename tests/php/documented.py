"""The code of docs/laravel.md, taken out of the page as a reader would copy it."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "laravel.md"

_BLOCK = re.compile(r"^```php\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"<\?php // ([\w./-]+\.php)\n")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block; `path` is where it belongs in an application, None for a fragment."""

    line: int
    path: str | None
    code: str


def blocks() -> list[Block]:
    """Return all PHP blocks of the page in their order."""
    text = PAGE.read_text()
    found = []
    for match in _BLOCK.finditer(text):
        name = _NAME.match(match[1])
        line = text.count("\n", 0, match.start()) + 2
        found.append(Block(line=line, path=name[1] if name else None, code=match[1]))
    return found
