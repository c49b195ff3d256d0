"""Texts that strangers chose, as they may be shown on a terminal."""

import re

_OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Control characters, ends of lines, what turns the order of a line, what is not seen, and halves of characters."""


def printable(text: str) -> str:
    r"""Return a text in one line without what a terminal would obey: each such character as Python escapes it."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
