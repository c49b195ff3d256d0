"""The configuration of a one-machine OpenStack Swift with its S3 front end; pure text.

Facts behind the less obvious lines: docs/decisions has why Swift. All metadata of an object must fit into one 4 KiB
block of extended attributes on ext4: allowing more makes writes fail with 507, after which the proxy would avoid its
only disk ("error limiting") and answer 503 for a minute. So metadata is limited to 2 KiB and error limiting is off.
"""

from dataclasses import dataclass, field
from pathlib import Path

BACKENDS = ("account", "container", "object")
PORTS = 1 + len(BACKENDS)
DEVICE = "d1"
_PIPELINE = "catch_errors gatekeeper healthcheck listing_formats bulk s3api tempauth copy slo dlo proxy-server"


@dataclass(frozen=True, kw_only=True)
class SwiftLayout:
    """Where one Swift lives: a directory and four ports in a row, all on loopback."""

    root: Path
    port: int

    @property
    def config_dir(self) -> Path:
        """Directory of the .conf files and rings."""
        return self.root / "etc"

    @property
    def devices_dir(self) -> Path:
        """Directory that holds the one storage device."""
        return self.root / "srv"

    def port_of(self, server: str) -> int:
        """Return the port of `proxy` or of a backend."""
        return self.port if server == "proxy" else self.port + 1 + BACKENDS.index(server)

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports."""
        return tuple(range(self.port, self.port + PORTS))


@dataclass(frozen=True, kw_only=True)
class SwiftUser:
    """The one user. Swift's S3 access keys have the form `account:user`."""

    access_key: str
    secret_key: str = field(repr=False)

    @property
    def account(self) -> str:
        """The Swift account that holds this user's buckets."""
        return self.access_key.partition(":")[0]


def common_config(hash_suffix: str) -> str:
    """Return swift.conf. The suffix is part of every object's place on disk and must never change."""
    return f"""[swift-hash]
swift_hash_path_suffix = {hash_suffix}
[storage-policy:0]
name = one
default = yes
[swift-constraints]
max_meta_value_length = 2048
max_meta_overall_size = 2048
"""


def backend_config(layout: SwiftLayout, server: str) -> str:
    """Return the configuration of the account, container or object server."""
    # Listings are brought up to date before a write is answered, instead of by a background updater.
    extra = "container_update_timeout = 60\n" if server == "object" else ""
    return f"""{_default_section(layout, server)}
workers = 0
devices = {layout.devices_dir}
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
[pipeline:main]
pipeline = {server}-server
[app:{server}-server]
use = egg:swift#{server}
{extra}"""


def proxy_config(layout: SwiftLayout, user: SwiftUser, *, region: str) -> str:
    """Return the configuration of the proxy, which holds the secret key."""
    account, _, name = user.access_key.partition(":")
    filters = "".join(
        f"[filter:{name}]\nuse = egg:swift#{name}\n"
        for name in ("catch_errors", "gatekeeper", "healthcheck", "listing_formats", "bulk", "copy", "slo", "dlo")
    )
    return f"""{_default_section(layout, "proxy")}
workers = 0
[pipeline:main]
pipeline = {_PIPELINE}
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
node_timeout = 30
error_suppression_limit = 1000000000
error_suppression_interval = 1
[filter:s3api]
use = egg:swift#s3api
location = {region}
dns_compliant_bucket_names = true
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{name} = {user.secret_key} .admin
{filters}"""


def _default_section(layout: SwiftLayout, server: str) -> str:
    return f"""[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {layout.port_of(server)}
swift_dir = {layout.config_dir}
log_address = /nonexistent
log_level = WARNING
log_custom_handlers = daemon.embedded.swift_logs.log_to_stderr"""
