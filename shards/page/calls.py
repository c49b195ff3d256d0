"""Calls of the bridge in the page and how their answers and failures read. Used by the driver only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.core.errors import BrowserError, PageCallError
from shards.browser.connection import BrowserConnection
from shards.page.script import call_expression
from shards.page.text import storable


@dataclass(frozen=True, kw_only=True)
class SentMessage:
    """A message that WhatsApp took: `ack` 1 sent, 2 delivered, 3 read; `timestamp` in Unix seconds."""

    message_id: str
    ack: int
    timestamp: int


@dataclass(frozen=True, kw_only=True)
class MediaFile:
    """The file of a message."""

    content: bytes = field(repr=False)
    mimetype: str
    filename: str | None = None


async def evaluate(connection: BrowserConnection, expression: str, *, timeout_s: float) -> Any:
    """Evaluate in the page's main frame, wait for a promise, return the value.

    Raises:
        PageCallError: it threw, or the page navigated away meanwhile.
        PageTimeoutError: no answer in time.
        BrowserError: the browser or the page is gone.
    """
    answer = await connection.cdp(
        "Runtime.evaluate",
        {"expression": expression, "awaitPromise": True, "returnByValue": True},
        timeout_s=timeout_s,
    )
    if "exceptionDetails" in answer:
        raise PageCallError(f"the page threw: {answer['exceptionDetails'].get('text', '')[:100]}")
    return storable(answer.get("result", {}).get("value"))


async def call_bridge(connection: BrowserConnection, action: str, *args: object, timeout_s: float) -> Any:
    """Call one action of the bridge and return its value. Raises as `evaluate` does, and PageCallError for refusals."""
    answer = await evaluate(connection, call_expression(action, *args), timeout_s=timeout_s)
    if not isinstance(answer, Mapping):
        raise PageCallError(
            f"{action}: the page is not ready", hint="wait until the session is connected", outcome="not_sent"
        )
    if answer.get("ok") is not True:
        raise PageCallError(_words(action, answer), outcome=answer.get("outcome"), reason=answer.get("code"))
    return answer.get("value")


async def call_send(connection: BrowserConnection, action: str, *args: object, timeout_s: float) -> SentMessage:
    """Call an action that sends a message.

    Raises:
        PageCallError: with `ids["outcome"]`: "not_sent" when WhatsApp certainly never got it, "unknown" when it may
            have gone out or may still go out; then `ids["message_id"]`, where known, is that of later acks.
    """
    if connection.lost.done():
        raise PageCallError(f"{action}: {connection.lost.result()}", outcome="not_sent")
    try:
        verdict = await call_bridge(connection, action, *args, timeout_s=timeout_s)
    except PageCallError as error:
        if "outcome" in error.ids:
            raise
        # Not the bridge's own words: the page navigated away under the running call.
        raise PageCallError(f"{action}: {error.message}", outcome="unknown") from error
    except BrowserError as error:
        raise PageCallError(f"{action}: {error.message}", outcome="unknown") from error
    if isinstance(verdict, Mapping) and verdict.get("ok") is True:
        return SentMessage(
            message_id=str(verdict["message_id"]), ack=int(verdict["ack"]), timestamp=int(verdict["timestamp"])
        )
    refusal = verdict if isinstance(verdict, Mapping) else {}
    raise PageCallError(
        _words(action, refusal),
        outcome="not_sent" if refusal.get("outcome") == "not_sent" else "unknown",
        message_id=refusal.get("message_id"),
        reason=refusal.get("code"),
    )


def _words(action: str, refusal: Mapping[str, Any]) -> str:
    code, error = str(refusal.get("code", "error")), str(refusal.get("error", ""))
    return f"{action}: {code}" if error in {"", code} else f"{action}: {code}: {error}"
