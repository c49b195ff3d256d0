"""Pages of a listing: read strictly, because an empty listing means that nothing is stored."""

import pytest

from daemon.objectstore.listing import read_page

OBJECT = (
    "<Contents><Key>{}</Key><LastModified>2026-11-23T02:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
    "<Size>5</Size></Contents>"
)


def page(inside: str, truncated: str = "false") -> bytes:
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return (
        f'<ListBucketResult xmlns="{namespace}"><EncodingType>url</EncodingType>'
        f"<IsTruncated>{truncated}</IsTruncated>{inside}</ListBucketResult>"
    ).encode()


def test_objects_are_read_and_their_keys_decoded() -> None:
    read = read_page(page(OBJECT.format("a%2Fb+c") + OBJECT.format("d")))
    assert read is not None and read.next_token is None
    assert [(item.key, item.size_bytes, item.etag) for item in read.objects] == [("a/b c", 5, "e"), ("d", 5, "e")]
    assert read.objects[0].stored_at.isoformat() == "2026-11-23T02:00:00+00:00"


def test_an_empty_listing_is_an_answer() -> None:
    read = read_page(page(""))
    assert read is not None and read.objects == ()


def test_a_cut_listing_names_the_next_page() -> None:
    read = read_page(page("<NextContinuationToken>t</NextContinuationToken>", "true"))
    assert read is not None and read.next_token == "t"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"<html/>", b"<ListBucketResult/>", page("", "true"), page("", "maybe"), page("<Contents/>"),
        page(OBJECT.format("")), page(OBJECT.format("a").replace("<Size>5", "<Size>x")),
        page(OBJECT.format("a").replace("2026", "when")), page("")[:-5], b"<Error><Code>x</Code></Error>",
    ],
)  # fmt: skip
def test_what_is_no_listing_is_not_an_empty_one(content: bytes) -> None:
    assert read_page(content) is None
