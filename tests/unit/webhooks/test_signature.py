"""The signature: what verifies, and what a forger or a late replay gets."""

import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.webhooks.signature import sign, sign_all, verify

SECRET = "a-secret-of-the-tests"
NOW = 1_769_860_800


def test_it_is_hmac_sha256_over_timestamp_dot_body() -> None:
    expected = hmac.new(SECRET.encode(), b'1769860800.{"a":1}', sha256).hexdigest()
    assert sign(SECRET, NOW, b'{"a":1}') == f"sha256={expected}"


@given(st.binary(), st.text(min_size=1, alphabet=st.characters(codec="utf-8")))
def test_what_was_signed_verifies(body: bytes, secret: str) -> None:
    assert verify(secret, str(NOW), body, sign(secret, NOW, body), now=NOW + 3)


@pytest.mark.parametrize(
    ("secret", "timestamp", "body", "now"),
    [
        ("another-secret-of-tests", str(NOW), b"body", NOW),
        (SECRET, str(NOW + 1), b"body", NOW),
        (SECRET, str(NOW), b"body ", NOW),
        (SECRET, str(NOW), b"body", NOW + 301),
        (SECRET, str(NOW), b"body", NOW - 301),
        (SECRET, f"0{NOW}", b"body", NOW),
        (SECRET, "", b"body", NOW),
        (SECRET, f"{NOW}.0", b"body", NOW),
        (SECRET, f"-{NOW}", b"body", NOW),
        (SECRET, "9" * 5000, b"body", NOW),
        (SECRET, "１７６９８６０８００", b"body", NOW),
    ],
)
def test_anything_changed_does_not_verify(secret: str, timestamp: str, body: bytes, now: int) -> None:
    assert not verify(secret, timestamp, body, sign(SECRET, NOW, b"body"), now=now)


@given(st.text())
def test_any_text_as_signature_is_only_refused(signature: str) -> None:
    assert not verify(SECRET, str(NOW), b"body", signature, now=NOW)


def test_while_a_secret_changes_either_one_verifies_and_no_other() -> None:
    both = sign_all(["the-new-secret-of-two", SECRET], NOW, b"body")
    assert both.count("sha256=") == 2
    for secret, genuine in (("the-new-secret-of-two", True), (SECRET, True), ("another-secret-of-tests", False)):
        assert verify(secret, str(NOW), b"body", both, now=NOW) is genuine
    assert not verify(SECRET, str(NOW), b"body", ",".join(["sha256=0"] * 100 + [sign(SECRET, NOW, b"body")]), now=NOW)
