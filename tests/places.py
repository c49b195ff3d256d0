"""Where tests write besides pytest's own directories."""

import os

SHORT = os.environ.get("TESTS_DIR", "/tmp")
"""A directory with a short path, as a socket's may have 107 bytes only; `bin/test` gives one in memory if it can."""
