"""The coordinator's HTTP API as the commands use it. Nothing else of this room talks HTTP."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import quote

import httpx

from daemon.cli.address import address_and_token
from daemon.cli.answers import (
    CoordinatorUnavailableError,
    is_kind,
    json_of,
    not_the_coordinator,
    refusal_of,
    time_of,
)
from daemon.core.errors import InvalidInputError

_TIMEOUT_S = 40.0
_FILE_TIMEOUT_S = 180.0
_SILENCE_S = 45.0
"""A stream without even a heartbeat for so long is dead."""


def below(path: str, *parts: str) -> str:
    """Return a path with these parts behind it, each of which stays one part whatever characters it has.

    Raises:
        InvalidInputError: a part would lead to another place.
    """
    for part in parts:
        if part in {"", ".", ".."}:
            raise InvalidInputError(f"{part!r} is no id and no name")
    return "/".join([path, *(quote(part, safe="") for part in parts)])


class Coordinator:
    """A client of the coordinator at BLAZZ_URL, or at COORDINATOR_HOST and COORDINATOR_PORT of the settings.

    The token is BLAZZ_TOKEN, or API_TOKEN of the settings; neither may be given on a command line.
    """

    def __init__(self) -> None:
        """Raises SettingsError."""
        url, token = address_and_token()
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT_S, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON that is there.

        Raises:
            CoordinatorUnavailableError: no answer.
            NotTheCoordinatorError: an answer that the coordinator does not give.
            RefusedError: a problem, with its code.
        """
        return self._call("GET", path, headers={"Accept": "application/json"})

    def post(self, path: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Post JSON and return the answer. Raises as `get`."""
        return self._call("POST", path, json=body, headers=headers)

    def post_file(
        self, path: str, form: Mapping[str, str], file: tuple[str, IO[bytes], str], *, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """Post a form with a file, given as name, content and mimetype. Raises as `get`."""
        return self._call("POST", path, data=form, files={"file": file}, headers=headers, timeout=_FILE_TIMEOUT_S)

    def delete(self, path: str) -> None:
        """Delete what is there. Raises as `get`."""
        self._call("DELETE", path)

    def stream(
        self, path: str, params: Sequence[tuple[str, str]], *, idle_s: float | None, opened: list[datetime]
    ) -> Iterator[dict[str, str]]:
        """Yield server-sent events with `id`, `event` and `data`; end after `idle_s` without any, None: never.

        One with `id` alone is no event: it tells the place to go on from.

        Once the coordinator has begun to answer, its time is put into `opened`.

        Raises:
            CoordinatorUnavailableError: the connection broke off, or there was none.
            NotTheCoordinatorError, RefusedError: as `get`.
        """
        limits_s: dict[str, float | None] = httpx.Timeout(_TIMEOUT_S).as_dict()
        begun = False
        try:
            with self._http.stream("GET", path, params=list(params), extensions={"timeout": limits_s}) as answer:
                if answer.status_code != 200 or not is_kind(answer, "text/event-stream"):
                    if answer.is_error:
                        answer.read()
                    raise refusal_of(answer)
                # From here on, as the answer is read by the limits that are in this dictionary then.
                limits_s["read"] = _SILENCE_S if idle_s is None else idle_s
                begun = True
                opened.append(time_of(answer))
                yield from _events(answer.iter_lines())
        except httpx.ReadTimeout as error:
            if idle_s is None or not begun:
                raise self._unavailable(error) from None
        except httpx.TransportError as error:
            raise self._unavailable(error) from None

    def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **request)
        except httpx.TransportError as error:
            raise self._unavailable(error) from None
        except httpx.DecodingError:
            raise not_the_coordinator(self._http.base_url, "that cannot be read") from None
        if method == "DELETE" and answer.status_code == 204:
            return {}
        # The 200 of any other server must not be taken for the only good answer to a DELETE.
        told = json_of(answer) if answer.is_success and method != "DELETE" else None
        if told is None:
            raise refusal_of(answer)
        return told

    def _unavailable(self, error: httpx.TransportError) -> CoordinatorUnavailableError:
        return CoordinatorUnavailableError(
            f"the coordinator at {self._http.base_url} does not answer: {type(error).__name__}",
            hint="is it running? COORDINATOR_HOST and COORDINATOR_PORT, or BLAZZ_URL, say where it is looked for",
            reached=not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout),
        )


def _events(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """Read server-sent events, and places, which have no data; comments, which are heartbeats, are passed over."""
    frame: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in frame:
                yield {"event": "message", **frame}
            elif "id" in frame:
                yield {"id": frame["id"]}
            frame = {}
            continue
        name, _, value = line.partition(":")
        if name:
            value = value.removeprefix(" ")
            frame[name] = f"{frame[name]}\n{value}" if name == "data" and "data" in frame else value
