"""The one receiver of webhooks: posts a body, and knows whether the receiver works or fails."""

import asyncio
import contextlib
import ssl
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import certifi
import httpx
import structlog

from daemon.core.sections import WebhookSettings
from daemon.sessions.events import Event
from daemon.webhooks.body import body_of
from daemon.webhooks.signature import EVENT_HEADER, ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign

log = structlog.get_logger()

PARALLEL_POSTS = 16

_MAX_ANSWER_BYTES = 4096
_FAILING_AFTER = 3


class Endpoint:
    """Laravel's address. Use it as a context; `post` may be called by many tasks at once."""

    def __init__(self, url: str, settings: WebhookSettings) -> None:
        self._url = url
        self._shown = urlsplit(url).hostname
        self._secret = settings.secret
        self._timeout_s = settings.timeout_ms / 1000
        self._client = _client(url)
        self._posts = asyncio.Semaphore(PARALLEL_POSTS)
        self._failures = 0
        self._wake = asyncio.Event()
        self._closing = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def post(self, event: Event) -> str | None:
        """Post one event; return None when it was taken (2xx), else why not, in words fit for a dead letter.

        Returns "stopping" without posting when the endpoint closes first.
        """
        async with self._posts:
            if self._closing:
                return "stopping"
            failure = await self._try(event)
        self._note(failure)
        return failure

    async def pause(self, seconds: float) -> None:
        """Wait before another try; end early when the receiver works again or the endpoint closes."""
        if not self._closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), seconds)

    def close(self) -> None:
        """Begin no further post and end all pauses; posts in flight go on."""
        self._closing = True
        self._wake.set()

    async def _try(self, event: Event) -> str | None:
        body = body_of(event)
        headers = self._headers(event, body)
        status = 0
        failure = f"no answer within {self._timeout_s:g} s"
        try:
            # httpx limits each step, not the whole: a receiver that sends a byte now and then would hold us for ever.
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream("POST", self._url, content=body, headers=headers) as answer,
            ):
                status = answer.status_code
                await _skim(answer)
        except TimeoutError:
            pass
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = type(error).__name__
        # The status decides once it is known, even if the rest of the answer never comes.
        if 200 <= status < 300:
            return None
        return f"HTTP {status}" if status else failure

    def _headers(self, event: Event, body: bytes) -> dict[str, str]:
        timestamp = int(time.time())
        return {
            "Content-Type": "application/json",
            ID_HEADER: event.event_id,
            EVENT_HEADER: event.kind.value,
            TIMESTAMP_HEADER: str(timestamp),
            SIGNATURE_HEADER: sign(self._secret.get_secret_value(), timestamp, body),
        }

    def _note(self, failure: str | None) -> None:
        """Keep whether the receiver works; one refused event among good ones is not a failing receiver."""
        if failure is not None:
            self._failures += 1
            if self._failures == _FAILING_AFTER:
                log.warning("webhook receiver fails", host=self._shown, error=failure)
            return
        if self._failures >= _FAILING_AFTER:
            log.info("webhook receiver works again", host=self._shown, failures=self._failures)
            self._wake.set()
            if not self._closing:
                self._wake = asyncio.Event()
        self._failures = 0


def _client(url: str) -> httpx.AsyncClient:
    verify: ssl.SSLContext | bool = True
    if url.startswith("https:"):
        # The system's certificate authorities and certifi's; no proxy or netrc from the environment.
        verify = ssl.create_default_context()
        verify.load_verify_locations(certifi.where())
    return httpx.AsyncClient(
        verify=verify,
        trust_env=False,
        follow_redirects=False,
        timeout=None,
        limits=httpx.Limits(max_connections=PARALLEL_POSTS, max_keepalive_connections=PARALLEL_POSTS),
        headers={"User-Agent": "blazz-webhooks/1"},
    )


async def _skim(answer: httpx.Response) -> None:
    """Read a short answer to its end, so that the connection can be used again; leave a long one."""
    size_bytes = 0
    async for chunk in answer.aiter_raw():
        size_bytes += len(chunk)
        if size_bytes > _MAX_ANSWER_BYTES:
            return
