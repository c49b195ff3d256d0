"""What REDIS_URL may be."""

import pytest

from daemon.core.redis_address import RedisAddress, parse_redis_address


def test_a_single_server_is_left_to_its_library() -> None:
    for url in ("redis://u:p@h:6379/2", "rediss://h", "unix:///run/r.sock?db=1"):
        assert parse_redis_address(url) == RedisAddress(kind="single", url=url)


def test_sentinels_and_their_master() -> None:
    found = parse_redis_address("rediss+sentinel://us%40er:p%23w@h1:1,h2/my%2Fmaster/3?sentinel_password=s%20p")
    assert found == RedisAddress(
        kind="sentinel",
        hosts=(("h1", 1), ("h2", 26379)),
        username="us@er",
        password="p#w",
        tls=True,
        master="my/master",
        db=3,
        sentinel_password="s p",
    )


def test_the_nodes_of_a_cluster() -> None:
    found = parse_redis_address("redis+cluster://:pw@10.0.0.1:7000,[::1]:7001,h/0")
    assert found == RedisAddress(kind="cluster", hosts=(("10.0.0.1", 7000), ("::1", 7001), ("h", 6379)), password="pw")


def test_no_address_shows_its_passwords() -> None:
    for url in ("redis://:secret@h:1", "redis+sentinel://:secret@h/m?sentinel_password=secret"):
        assert "secret" not in repr(parse_redis_address(url))


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://h", "must start with"),
        ("redis://h:99999", "port"),
        ("redis://:pa#ss@h:1", "%23"),
        ("redis+sentinel://h:1", "name of its master"),
        ("redis+sentinel://h:1/m/x", "name of its master"),
        ("redis+sentinel://h:1,:2/m", "host:port"),
        ("redis+cluster://h:0", "host:port"),
        ("redis+cluster://h:1/3", "no databases"),
        ("redis+cluster://", "host:port"),
    ],
)
def test_what_cannot_be_meant_is_explained_without_repeating_it(url: str, what: str) -> None:
    with pytest.raises(ValueError, match=what) as raised:
        parse_redis_address(url)
    assert "pa#ss" not in str(raised.value)
