"""One receiver of webhooks: signs and posts a body, and says what came of it."""

import asyncio
import ssl
import time
from types import TracebackType
from typing import Self

import certifi
import httpx

from daemon.sessions.events import Event
from daemon.webhooks.body import body_of
from daemon.webhooks.configured import EndpointConfig
from daemon.webhooks.schedule import Answer, parsed_retry_after
from daemon.webhooks.signature import EVENT_HEADER, ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign_all

PARALLEL_POSTS = 16

_MAX_ANSWER_BYTES = 4096


class Endpoint:
    """A receiver's address. Use it as a context; `post` may be called by many tasks at once."""

    def __init__(self, config: EndpointConfig, *, timeout_s: float) -> None:
        self._url = config.url.get_secret_value()
        self._secrets = config.secrets
        self._timeout_s = timeout_s
        # A client for each post at a time: httpx' pool looks at all its connections at every request.
        verify = _verifier(self._url)
        self._clients = [_client(verify) for _ in range(PARALLEL_POSTS)]
        self._free = list(self._clients)
        self._posts = asyncio.Semaphore(PARALLEL_POSTS)
        self._closing = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            await client.aclose()

    async def post(self, event: Event) -> Answer | None:
        """Post one event once; None when the endpoint was closed before it could be."""
        async with self._posts:
            if self._closing:
                return None
            return await self._send(event.event_id, event.kind.value, body_of(event))

    def close(self) -> None:
        """Begin no further post; posts in flight go on."""
        self._closing = True

    async def send(self, event_id: str, name: str, body: bytes) -> Answer:
        """Post a body once, outside the order of anything. `failure` is fit for a dead letter."""
        async with self._posts:
            return await self._send(event_id, name, body)

    async def _send(self, event_id: str, name: str, body: bytes) -> Answer:
        # The one used last, whose connection is the likeliest to be open still.
        client = self._free.pop()
        try:
            return await self._try(client, event_id, name, body)
        finally:
            self._free.append(client)

    async def _try(self, client: httpx.AsyncClient, event_id: str, name: str, body: bytes) -> Answer:
        status, retry_after_s = 0, None
        failure, unreachable = f"no answer within {self._timeout_s:g} s", False
        try:
            # httpx limits each step, not the whole: a receiver that sends a byte now and then would hold us for ever.
            headers = self._headers(event_id, name, body)
            async with (
                asyncio.timeout(self._timeout_s),
                client.stream("POST", self._url, content=body, headers=headers) as answer,
            ):
                status = answer.status_code
                if status in {429, 503}:
                    retry_after_s = parsed_retry_after(answer.headers.get("Retry-After"))
                await _skim(answer)
        except TimeoutError:
            pass
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure, unreachable = type(error).__name__, isinstance(error, httpx.ConnectError)
        # The status decides once it is known, even if the rest of the answer never comes.
        if 200 <= status < 300:
            return Answer(status=status, failure=None)
        failure = f"HTTP {status}" if status else failure
        return Answer(status=status, failure=failure, unreachable=unreachable, retry_after_s=retry_after_s)

    def _headers(self, event_id: str, name: str, body: bytes) -> dict[str, str]:
        timestamp = int(time.time())
        return {
            "Content-Type": "application/json",
            ID_HEADER: event_id,
            EVENT_HEADER: name,
            TIMESTAMP_HEADER: str(timestamp),
            SIGNATURE_HEADER: sign_all(self._secrets, timestamp, body),
        }


def _verifier(url: str) -> ssl.SSLContext | bool:
    if not url.startswith("https:"):
        return False
    # The system's certificate authorities and certifi's.
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _client(verify: ssl.SSLContext | bool) -> httpx.AsyncClient:
    """Return a client of one connection, without a proxy or netrc from the environment."""
    return httpx.AsyncClient(
        verify=verify,
        trust_env=False,
        follow_redirects=False,
        timeout=None,
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        headers={"User-Agent": "blazz-webhooks/1"},
    )


async def _skim(answer: httpx.Response) -> None:
    """Read a short answer to its end, so that the connection can be used again; leave a long one."""
    size_bytes = 0
    async for chunk in answer.aiter_raw():
        size_bytes += len(chunk)
        if size_bytes > _MAX_ANSWER_BYTES:
            return
