"""`python -m daemon.embedded.secret_file`: makes the secrets of this installation once, in DATA_ROOT/secrets.env.

Only its owner can read the file. `daemon.core.settings` reads it with the lowest precedence, so a secret given in the
environment or .env is used instead. Nothing here is ever printed.
"""

import secrets
from pathlib import Path

from daemon.core.files import private_directory, write_atomic
from daemon.core.sections import PathSettings
from daemon.core.settings import load_section

NAMES = ("API_TOKEN", "LARAVEL_WEBHOOK_SECRET", "EMBEDDED_S3_SECRET")
FILE_NAME = "secrets.env"
_HEADER = "# Made by bin/setup. Settings in the environment or in .env take precedence."


def complete_secrets(data_root: Path) -> Path:
    """Add the secrets that the file lacks, keep the others, and return its path."""
    path = private_directory(data_root) / FILE_NAME
    lines = path.read_text().splitlines() if path.exists() else [_HEADER]
    present = {line.partition("=")[0] for line in lines}
    lines += [f"{name}={secrets.token_hex(24)}" for name in NAMES if name not in present]
    write_atomic(path, ("\n".join(lines) + "\n").encode())
    return path


def main() -> None:
    """Complete the file of this installation."""
    complete_secrets(load_section(PathSettings).data_root)


if __name__ == "__main__":
    main()
