"""Ids cannot leave their place in keys, object names and paths."""

import pytest

from daemon.core.errors import InvalidInputError
from daemon.core.ids import check_id, check_shard_name, new_id, phone_digits, session_id_for


@pytest.mark.parametrize("value", ["a", "A-1_b", "0", "x" * 100])
def test_good_ids_pass(value: str) -> None:
    assert check_id(value, "user_id") == value


@pytest.mark.parametrize(
    "value", ["", "..", "a/b", "a b", "a{b}", "a:b", "-a", "_a", "a\n", "x" * 101, "ä", "a\x00", "a|b", "a*"]
)
def test_ids_that_could_leave_their_place_are_refused_with_the_field(value: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        check_id(value, "user_id")
    assert raised.value.ids["field"] == "user_id"


@pytest.mark.parametrize(("given", "digits"), [("+5511999990000", "5511999990000"), ("4915112345", "4915112345")])
def test_phone_numbers_lose_their_plus(given: str, digits: str) -> None:
    assert phone_digits(given) == digits


@pytest.mark.parametrize("value", ["", "+", "0123456789", "12345", "1234567890123456", "+49 151", "abc", "123456789\n"])
def test_what_is_no_phone_number_is_refused(value: str) -> None:
    with pytest.raises(InvalidInputError):
        phone_digits(value)


def test_the_default_session_id() -> None:
    assert session_id_for("7", "12") == "session-7-12"


def test_new_ids_differ_and_sort_by_time() -> None:
    made = [new_id("cmd") for _ in range(50)]
    assert len(set(made)) == 50
    assert all(len(x) == len("cmd_") + 26 for x in made)
    assert made[0][:10] <= made[-1][:10]


@pytest.mark.parametrize("value", ["Shard", "a b", "", "shard/0", "-x"])
def test_bad_shard_names_are_refused(value: str) -> None:
    with pytest.raises(InvalidInputError):
        check_shard_name(value)
