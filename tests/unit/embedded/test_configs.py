"""The configurations of the embedded servers: private, durable, and with the secret in one place only."""

from pathlib import Path

from daemon.embedded.redis import redis_config, redis_url
from daemon.embedded.secret_file import NAMES, complete_secrets
from daemon.embedded.swift_config import BACKENDS, SwiftLayout, SwiftUser, backend_config, common_config, proxy_config

LAYOUT = SwiftLayout(root=Path("/data/s3"), port=9315)
USER = SwiftUser(access_key="blazz:local", secret_key="0123456789abcdef")


def test_redis_listens_on_a_private_socket_only_and_keeps_an_append_only_file() -> None:
    lines = redis_config(Path("/data")).splitlines()
    assert {"port 0", "unixsocketperm 700", "appendonly yes"} <= set(lines)
    assert {"maxmemory-policy volatile-lru", "maxmemory-samples 64"} <= set(lines)
    assert 'unixsocket "/data/run/redis.sock"' in lines
    assert redis_url(Path("/data")) == "unix:///data/run/redis.sock"


def test_a_path_cannot_add_a_line_of_its_own_meaning_to_redis_conf() -> None:
    assert 'dir "/da\\"ta/redis"' in redis_config(Path('/da"ta'))


def test_swift_uses_four_ports_in_a_row_on_loopback() -> None:
    assert LAYOUT.ports == (9315, 9316, 9317, 9318)
    for server in BACKENDS:
        text = backend_config(LAYOUT, server)
        assert "bind_ip = 127.0.0.1" in text
        assert f"bind_port = {LAYOUT.port_of(server)}" in text


def test_only_the_proxy_configuration_holds_the_secret() -> None:
    assert "user_blazz_local = 0123456789abcdef .admin" in proxy_config(LAYOUT, USER, region="auto")
    for text in (common_config("suffix"), *(backend_config(LAYOUT, server) for server in BACKENDS), repr(USER)):
        assert USER.secret_key not in text


def test_metadata_stays_below_what_one_block_of_attributes_holds() -> None:
    assert "max_meta_overall_size = 2048" in common_config("suffix")
    assert "error_suppression_limit = 1000000000" in proxy_config(LAYOUT, USER, region="auto")


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    path = complete_secrets(tmp_path / "var")
    first = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert all(f"{name}=" in first for name in NAMES)
    assert complete_secrets(tmp_path / "var").read_text() == first


def test_a_missing_secret_is_added_to_those_there(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("API_TOKEN=kept-as-it-is\n")
    lines = complete_secrets(tmp_path).read_text().splitlines()
    assert lines[0] == "API_TOKEN=kept-as-it-is"
    assert len(lines) == len(NAMES)
