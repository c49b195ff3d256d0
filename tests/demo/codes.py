"""QR codes for a terminal: as many side by side as fit."""

import io
import itertools

import segno

_GAP = "   "


def drawn(codes: dict[str, str], columns: int) -> str:
    """Return the codes, each below its caption."""
    blocks = [_block(caption, text) for caption, text in codes.items()]
    width = max(len(line) for block in blocks for line in block)
    in_a_row = max(1, (columns + len(_GAP)) // (width + len(_GAP)))
    rows = []
    for start in range(0, len(blocks), in_a_row):
        group = blocks[start : start + in_a_row]
        for parts in itertools.zip_longest(*group, fillvalue=""):
            rows.append(_GAP.join(part.ljust(width) for part in parts).rstrip())
        rows.append("")
    return "\n".join(rows)


def _block(caption: str, text: str) -> list[str]:
    out = io.StringIO()
    segno.make(text, micro=False, error="l", boost_error=False).terminal(out, compact=True, border=1)
    return [caption, *out.getvalue().splitlines()]
