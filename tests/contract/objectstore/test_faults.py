"""Answers that a real store gives only on its bad days: what they mean must never be "there is nothing"."""

from collections.abc import Callable

import pytest

from daemon.core.clock import mono_s
from daemon.core.errors import (
    BlazzError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreRefusedError,
    ObjectStoreUnavailableError,
)
from daemon.objectstore.check import StoreCheck
from daemon.objectstore.store import ObjectStore
from tests.contract.objectstore.conftest import Answer, Script, body_of, received, s3_error

HTML = b"<html><body>an error page</body></html>"
ETAG_OF_BODY = '"841a2d689ad86bd1611447453c22c6fc"'
STORED_AT = "Mon, 23 Nov 2026 02:00:00 GMT"


def put(store: ObjectStore) -> str:
    return store.put_new("k", body_of(b"body"), metadata={}, content_type="application/zip")


CALLS: dict[str, Callable[[ObjectStore], object]] = {
    "get": lambda store: received(store, "k", 4),
    "head": lambda store: store.head("k"),
    "list": lambda store: store.list("p/"),
    "put": put,
    "delete": lambda store: store.delete("k"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (s3_error(503, "ServiceUnavailable"), ObjectStoreUnavailableError),
        (s3_error(500, "InternalError"), ObjectStoreUnavailableError),
        (s3_error(429, "TooManyRequests"), ObjectStoreUnavailableError),
        (Answer(502, HTML, "text/html"), ObjectStoreUnavailableError),
        (Answer(503, HTML, "application/xml"), ObjectStoreUnavailableError),
        (Answer(404, HTML, "text/html"), ObjectStoreRefusedError),
        (Answer(403, HTML, "text/html"), ObjectStoreRefusedError),
        (s3_error(403, "AccessDenied"), ObjectStoreRefusedError),
        (s3_error(401, "Unauthorized"), ObjectStoreRefusedError),
        (Answer(302, b"", Location="http://127.0.0.1:1/elsewhere"), ObjectStoreRefusedError),
        (Answer(hang=True), ObjectStoreUnavailableError),
    ],
    ids=["503", "500", "429", "html-502", "broken-xml-503", "html-404", "html-403", "403", "401", "302", "silent"],
)
def test_a_bad_answer_is_never_an_absent_object(
    scripted: Script, call: Callable[[ObjectStore], object], answer: Answer, expected: type[BlazzError]
) -> None:
    server = scripted(answer)
    with pytest.raises(expected) as raised:
        call(ObjectStore(server.config))
    assert "a-secret-of-tests" not in str(raised.value) + raised.value.hint


@pytest.mark.parametrize("answer", [s3_error(503, "SlowDown"), s3_error(429, "TooManyRequests")])
def test_a_passing_failure_is_repeated(scripted: Script, answer: Answer) -> None:
    server = scripted(answer, answer, Answer(200, b"", ETag=ETAG_OF_BODY))
    assert put(ObjectStore(server.config)) == ETAG_OF_BODY.strip('"')
    assert len(server.asked) == 3


def test_a_refusal_is_not_repeated(scripted: Script) -> None:
    server = scripted(s3_error(403, "AccessDenied"))
    with pytest.raises(ObjectStoreRefusedError):
        put(ObjectStore(server.config))
    assert len(server.asked) == 1


def test_a_success_page_that_is_no_listing_is_not_an_empty_one(scripted: Script) -> None:
    for answer in (
        Answer(200, HTML, "text/html"),
        Answer(200, b""),
        Answer(200, b"<ListBucketResult><Name>b</Name></ListBucketResult>"),
        Answer(200, b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"),
    ):
        with pytest.raises(ObjectStoreRefusedError):
            ObjectStore(scripted(answer).config).list("p/")


def test_a_success_page_that_is_no_object_is_not_taken_for_one(scripted: Script) -> None:
    with pytest.raises(ObjectStoreRefusedError):
        received(ObjectStore(scripted(Answer(200, HTML, "text/html")).config), "k", 4)


def test_a_lost_answer_to_a_put_is_found_out(scripted: Script) -> None:
    head = Answer(200, b"", ETag=ETAG_OF_BODY, Content_Length="4", Last_Modified=STORED_AT)
    server = scripted(Answer(hang=True), s3_error(412, "PreconditionFailed"), head)
    assert put(ObjectStore(server.config)) == ETAG_OF_BODY.strip('"')


def test_a_refused_condition_with_other_bytes_there_is_a_conflict(scripted: Script) -> None:
    head = Answer(200, b"", ETag='"other"', Content_Length="4", Last_Modified=STORED_AT)
    with pytest.raises(ObjectExistsError):
        put(ObjectStore(scripted(s3_error(412, "PreconditionFailed"), head).config))


def test_a_refused_condition_with_nothing_there_may_be_tried_again(scripted: Script) -> None:
    answers = (s3_error(412, "PreconditionFailed"), s3_error(404, "NoSuchKey"))
    with pytest.raises(ObjectStoreUnavailableError):
        put(ObjectStore(scripted(*answers).config))


def test_a_head_of_a_missing_bucket_is_not_an_absent_object(scripted: Script) -> None:
    with pytest.raises(ObjectStoreRefusedError):
        ObjectStore(scripted(s3_error(404, "NoSuchBucket")).config).head("k")
    with pytest.raises(ObjectNotFoundError):
        ObjectStore(scripted(s3_error(404, "NoSuchKey")).config).head("k")


def test_a_body_that_breaks_off_is_received_again(scripted: Script) -> None:
    cut = Answer(200, b"bo", cut=True, ETag=ETAG_OF_BODY, Content_Length="4")
    whole = Answer(200, b"body", ETag=ETAG_OF_BODY)
    assert received(ObjectStore(scripted(cut, whole).config), "k", 4) == b"body"
    with pytest.raises(ObjectStoreUnavailableError):
        received(ObjectStore(scripted(cut).config), "k", 4)


def test_a_health_check_answers_soon_and_asks_once(scripted: Script) -> None:
    began_mono_s = mono_s()
    server = scripted(Answer(hang=True))
    health = StoreCheck(server.config).health()
    assert not health.connected and health.error
    assert mono_s() - began_mono_s < 2
    assert len(server.asked) == 1
