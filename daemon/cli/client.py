"""The coordinator's HTTP API as the commands use it. Nothing else of this room talks HTTP."""

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self

import httpx

from daemon.core.errors import BlazzError, UnavailableError
from daemon.core.exit_codes import ExitCode
from daemon.core.settings import client_choice, load_settings

_TIMEOUT_S = 40.0
_FILE_TIMEOUT_S = 180.0
_SILENCE_S = 45.0
"""A stream without even a heartbeat for so long is dead."""
_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


class CoordinatorUnavailableError(UnavailableError):
    """The coordinator does not answer; whether it did what was asked is not known, unless it was never `reached`."""

    code = "coordinator_unavailable"

    def __init__(self, message: str, *, reached: bool, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reached = reached


class RefusedError(BlazzError):
    """The coordinator answered with a problem, whose code this error has."""

    exit_code = ExitCode.USAGE

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or f"answer {status}"), hint=str(problem.get("hint") or ""))
        self.problem = problem
        self.tried_nothing = status < 500
        """Whether this request is certain to have changed nothing."""
        self.code = str(problem.get("code") or f"http_{status}")  # type: ignore[misc]  # the class has no code of its own
        if status >= 500:
            self.exit_code = ExitCode.UNAVAILABLE  # type: ignore[misc]  # it depends on the answer
        elif status == 429:
            self.exit_code = ExitCode.TEMPORARY  # type: ignore[misc]


class Coordinator:
    """A client of the coordinator at BLAZZ_URL, or at COORDINATOR_HOST and COORDINATOR_PORT of the settings.

    The token is BLAZZ_TOKEN, or API_TOKEN of the settings; neither may be given on a command line.
    """

    def __init__(self) -> None:
        url, token = client_choice()
        if not url or not token:
            settings = load_settings().coordinator
            host = _ANY.get(settings.host, f"[{settings.host}]" if ":" in settings.host else settings.host)
            url = url or f"http://{host}:{settings.port}"
            token = token or settings.api_token.get_secret_value()
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

    def delete(self, path: str) -> dict[str, Any]:
        """Delete what is there and return the answer. Raises as `get`."""
        return self._call("DELETE", path)

    def stream(
        self, path: str, params: Sequence[tuple[str, str]], *, idle_s: float | None, opened: list[str]
    ) -> Iterator[dict[str, str]]:
        """Yield server-sent events with `id`, `event` and `data`; end after `idle_s` without any, None: never.

        The path is put into `opened` once the coordinator has begun to answer.

        Raises:
            CoordinatorUnavailableError: the connection broke off, or there was none.
            RefusedError: a problem, with its code.
        """
        timeout = httpx.Timeout(_TIMEOUT_S, read=_SILENCE_S if idle_s is None else idle_s)
        try:
            with self._http.stream("GET", path, params=list(params), timeout=timeout) as answer:
                if answer.is_error:
                    answer.read()
                    raise RefusedError(answer.status_code, _json_of(answer))
                opened.append(path)
                yield from _events(answer.iter_lines())
        except httpx.ReadTimeout as error:
            if idle_s is None:
                raise self._unavailable(error) from None
        except httpx.TransportError as error:
            raise self._unavailable(error) from None

    def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **request)
        except httpx.TransportError as error:
            raise self._unavailable(error) from None
        if answer.is_error:
            raise RefusedError(answer.status_code, _json_of(answer))
        return _json_of(answer)

    def _unavailable(self, error: httpx.TransportError) -> CoordinatorUnavailableError:
        return CoordinatorUnavailableError(
            f"the coordinator at {self._http.base_url} does not answer: {type(error).__name__}",
            hint="is it running? COORDINATOR_HOST and COORDINATOR_PORT, or BLAZZ_URL, say where it is looked for",
            reached=not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout),
        )


def _json_of(answer: httpx.Response) -> dict[str, Any]:
    try:
        shown: dict[str, Any] = answer.json()
    except ValueError:
        return {}
    return shown


def _events(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """Read server-sent events; comments, which are heartbeats, and frames without data are passed over."""
    frame: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in frame:
                yield {"event": "message", **frame}
            frame = {}
            continue
        name, _, value = line.partition(":")
        if name:
            value = value.removeprefix(" ")
            frame[name] = f"{frame[name]}\n{value}" if name == "data" and "data" in frame else value
