"""`python -m daemon.embedded.s3`: becomes an S3 server on loopback, which is OpenStack Swift in one process.

Checks the machine, writes the configuration and becomes `swift_server`. Owns DATA_ROOT/s3 and four ports from
EMBEDDED_S3_PORT on. Takes its one user from R2_ACCESS_KEY_ID (`account:user`) and R2_SECRET_ACCESS_KEY and creates the
bucket R2_BUCKET_NAME. It prints one line with `ready` once it can be used.

Only the first port asks for a signature. The three behind it trust whoever reaches them, which on a machine with
other users is every one of them: there, use another S3 server.
"""

import os
import secrets
import sys
from typing import NoReturn

from daemon.core.errors import BlazzError
from daemon.core.files import private_directory, write_atomic
from daemon.core.sections import EmbeddedSettings, ObjectStoreSettings, PathSettings
from daemon.core.settings import load_section
from daemon.embedded.checks import check_extended_attributes, check_ports_free
from daemon.embedded.errors import CannotStartError
from daemon.embedded.parent import die_with_parent
from daemon.embedded.swift_config import (
    BACKENDS,
    DEVICE,
    SwiftLayout,
    SwiftUser,
    backend_config,
    common_config,
    proxy_config,
)

REGION = "auto"
"""The only region that Cloudflare R2 has."""


def prepare(layout: SwiftLayout, user: SwiftUser) -> None:
    """Write the configuration; data that is already there stays readable, also on other ports."""
    private_directory(layout.root)
    private_directory(layout.config_dir)
    (layout.devices_dir / DEVICE).mkdir(parents=True, exist_ok=True)
    common = layout.config_dir / "swift.conf"
    if not common.exists():
        write_atomic(common, common_config(secrets.token_hex(16)).encode())
    for server in BACKENDS:
        write_atomic(layout.config_dir / f"{server}.conf", backend_config(layout, server).encode())
    write_atomic(layout.config_dir / "proxy.conf", proxy_config(layout, user, region=REGION).encode())


def _check_user(store: ObjectStoreSettings) -> SwiftUser:
    user = SwiftUser(access_key=store.access_key_id, secret_key=store.secret_access_key.get_secret_value())
    account, separator, name = user.access_key.partition(":")
    if not (separator and account.isalnum() and name.isalnum()):
        raise CannotStartError(
            f"R2_ACCESS_KEY_ID={user.access_key!r} is not allowed here",
            hint="the embedded S3 server needs the form account:user, letters and digits",
        )
    if len(user.secret_key) < 16 or not user.secret_key.isalnum():
        raise CannotStartError(
            "R2_SECRET_ACCESS_KEY is not allowed here",
            hint="the embedded S3 server needs at least 16 letters and digits",
        )
    return user


def main() -> NoReturn:
    """Check the machine and become the server; a reason not to is one line on stderr."""
    die_with_parent()
    try:
        store = load_section(ObjectStoreSettings)
        root = load_section(PathSettings).data_root.absolute() / "s3"
        layout, user = SwiftLayout(root=root, port=load_section(EmbeddedSettings).s3_port), _check_user(store)
        prepare(layout, user)
        check_extended_attributes(layout.devices_dir)
        check_ports_free(layout.ports, setting="EMBEDDED_S3_PORT")
    except BlazzError as error:
        print(f"s3: {error}; {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
    server = ["-W", "ignore", "-m", "daemon.embedded.swift_server"]
    # A fresh interpreter, because Swift's threads need a standard library that nothing has used yet.
    os.execv(sys.executable, [sys.executable, *server, str(root), str(layout.port), user.account, store.bucket])


if __name__ == "__main__":
    main()
