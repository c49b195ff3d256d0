"""Logging for every process: structured events on stderr, where supervisord collects and rotates them.

The event text is constant; what varies goes into fields. Ids come from context variables (`bind_ids`). Values whose
field name says that they are secret are masked here as the last line of defence; callers do not log them at all.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from daemon.core.sections import LogSettings

_SECRET_FIELDS = frozenset(
    {"token_text", "api_token", "secret", "password", "authorization", "qr", "qr_text", "code_text"}
)

_OURS = ("daemon", "shards", "__main__")


def configure_logs(settings: LogSettings, *, process: str) -> None:
    """Set up logging once, at process start; `process` (as `coordinator`, `shard_00`) is on every line."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _mask_secrets,
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.style == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    # What a library says below a warning may be whatever it has in hand: messages, codes, tokens.
    root.setLevel(max(logging.WARNING, logging.getLevelName(settings.level)))
    for ours in _OURS:
        logging.getLogger(ours).setLevel(settings.level)
    # It warns of every single retry; what comes of them is logged by whoever asked.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    structlog.contextvars.bind_contextvars(process=process)


def bind_ids(**ids: str) -> None:
    """Put ids on every further log line of this task and of the tasks it starts."""
    structlog.contextvars.bind_contextvars(**ids)


def _mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in _SECRET_FIELDS & event.keys():
        event[name] = "********"
    return event
