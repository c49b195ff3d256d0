"""Sends Swift's log to stderr, where supervisord collects it. Swift calls it by name (`log_custom_handlers`)."""

import logging
import logging.handlers
import sys
from typing import Any


def log_to_stderr(
    _conf: Any, name: str, _to_console: bool, _route: str, _format: str, logger: logging.Logger, _adapted: Any
) -> None:
    """Replace Swift's handlers, which send to syslog, by one on stderr."""
    for handler in list(logger.handlers):
        if isinstance(handler, logging.handlers.SysLogHandler):
            logger.removeHandler(handler)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s swift {name}: %(message)s"))
        logger.addHandler(handler)
