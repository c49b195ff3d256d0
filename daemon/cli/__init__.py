"""`blazz`: the operator's command line. One small function a command."""

from daemon.cli.root import main

__all__ = ["main"]
