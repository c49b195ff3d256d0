"""Filler of the size and texture of the real site's scripts, so that caches, disk use and snapshots weigh the same."""

from __future__ import annotations

import asyncio
import random
import zlib

CHUNK_BYTES = 550_000


def chunk_sizes(megabytes: float) -> list[int]:
    """Sizes of the files which together make up `megabytes`."""
    total = int(megabytes * 1e6)
    full, rest = divmod(total, CHUNK_BYTES)
    return [CHUNK_BYTES] * full + ([rest] if rest else [])


def pseudo_script(seed: int, size: int) -> bytes:
    """Deterministic text like minified modules, `size` bytes at most; gzip takes it to about a quarter, as the real."""
    rnd = random.Random(seed)
    words = [f"{rnd.choice('WAWebCometFbtMsgChatContact')}{rnd.randrange(1 << 16):x}" for _ in range(900)]
    lines: list[str] = []
    length = 0
    while length < size:
        line = _pseudo_module(rnd, words, len(lines))
        lines.append(line)
        length += len(line)
    return "".join(lines).encode()[:size].rsplit(b"\n", 1)[0] + b"\n"


def _pseudo_module(rnd: random.Random, words: list[str], index: int) -> str:
    word = rnd.choice
    return (
        f'__bulk("{word(words)}{index}",["{word(words)}","{word(words)}"],(function(t,n,r,o,a,i){{"use strict";'
        f'var {word("elsucdmpf")}={rnd.randrange(1 << 30)},{word("ghkvwxyz")}="{rnd.getrandbits(40):x}";'
        f'i.{word(words)}=function(e){{return e.{word(words)}?o("{word(words)}").{word(words)}(e,'
        f"{rnd.randrange(4096)}):null}}}}),{word([34, 66, 98, 226354])});\n"
    )


class BulkFiles:
    """Makes each file once, off the event loop, and keeps it."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, int, int], bytes] = {}
        self._lock = asyncio.Lock()

    async def get(self, kind: str, index: int, size: int) -> bytes:
        """The content of file `index` of `kind` ('s' for the service worker's cache, 'h' for the HTTP cache)."""
        key = (kind, index, size)
        async with self._lock:
            if key not in self._made:
                self._made[key] = await asyncio.to_thread(pseudo_script, zlib.crc32(f"{kind}{index}".encode()), size)
        return self._made[key]
