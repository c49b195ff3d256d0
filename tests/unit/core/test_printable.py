"""What is shown of texts that strangers chose."""

import pytest

from daemon.core.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("olá, 世界 👩‍🚀 é", "olá, 世界 👩‍🚀 é"),
        ("a\x1b[2Jb\x07", r"a\x1b[2Jb\x07"),
        ("a\r\nb\tc\x00", r"a\r\nb\tc\x00"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("\u202eevil\u2066\u200f\u2028", r"\u202eevil\u2066\u200f\u2028"),
        ("cut \ud83d", r"cut \ud83d"),
    ],
)
def test_nothing_that_a_terminal_obeys_is_left(text: str, shown: str) -> None:
    assert printable(text) == shown
