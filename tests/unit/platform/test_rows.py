"""Rows of the platform become sessions, or are left out."""

from decimal import Decimal
from uuid import UUID

import pytest

from daemon.platform.rows import Reading, session_of, text_of

UUID_TEXT = "0b1f7a52-6a3c-4a53-9a0e-2d9f0a4c5b6d"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("", ""),
        ("  ", ""),
        ("abc ", "abc"),
        (12, "12"),
        (Decimal("12"), "12"),
        (Decimal("12.00"), "12"),
        (12.0, "12"),
        (UUID(UUID_TEXT), UUID_TEXT),
        (b"abc", "abc"),
        (Decimal("12.5"), None),
        (Decimal("NaN"), None),
        (Decimal("Infinity"), None),
        (float("inf"), None),
        (float("nan"), None),
        (True, None),
        (b"\xff\x00", None),
        (["12"], None),
    ],
)
def test_an_id_is_text_whatever_its_column_is(value: object, text: str | None) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("row", "session_id"),
    [
        ((1, 2, None), "session-1-2"),
        (("u-1", "w_2", ""), "session-u-1-w_2"),
        ((1, 2, "given"), "given"),
        ((1, 2, 77), "77"),
        ((None, 2, "given"), None),
        ((1, "", "given"), None),
        ((1, 2, "a/b"), None),
        ((1, 2, "a\n"), "a"),
        ((1, "a b", "given"), None),
        (("é", 2, "given"), None),
        (("x" * 60, "y" * 60, None), None),
        ((1, 2, True), None),
    ],
)
def test_a_row_is_a_session_if_its_ids_are_valid(row: tuple[object, object, object], session_id: str | None) -> None:
    known = session_of(row)
    assert (known and known.session_id) == session_id


def test_the_ids_of_the_first_rows_that_were_left_out_are_kept() -> None:
    reading = Reading()
    reading.add([(number, 7, "no id!") for number in range(100)])
    assert reading.skipped == 100
    assert reading.examples == [{"user_id": str(number), "workspace_id": "7"} for number in range(5)]
