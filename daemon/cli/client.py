"""The coordinator's HTTP API as the commands use it. Nothing else of this room talks HTTP."""

from types import TracebackType
from typing import Any, Self

import httpx

from daemon.core.errors import BlazzError, UnavailableError
from daemon.core.exit_codes import ExitCode
from daemon.core.settings import load_settings

_TIMEOUT_S = 40.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


class CoordinatorUnavailableError(UnavailableError):
    """The coordinator does not answer; whether it did what was asked is not known."""

    code = "coordinator_unavailable"


class RefusedError(BlazzError):
    """The coordinator answered with a problem, whose code this error has."""

    exit_code = ExitCode.USAGE

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or f"answer {status}"), hint=str(problem.get("hint") or ""))
        self.code = str(problem.get("code") or f"http_{status}")  # type: ignore[misc]  # the class has no code of its own
        if status >= 500:
            self.exit_code = ExitCode.UNAVAILABLE  # type: ignore[misc]  # it depends on the answer


class Coordinator:
    """A client of the coordinator at COORDINATOR_HOST and COORDINATOR_PORT."""

    def __init__(self) -> None:
        settings = load_settings().coordinator
        host = _ANY.get(settings.host, f"[{settings.host}]" if ":" in settings.host else settings.host)
        self._http = httpx.Client(
            base_url=f"http://{host}:{settings.port}",
            headers={"Authorization": f"Bearer {settings.api_token.get_secret_value()}"},
            timeout=_TIMEOUT_S,
            trust_env=False,
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
        return self._call("GET", path)

    def post(self, path: str, body: object = None) -> dict[str, Any]:
        """Post JSON and return the answer. Raises as `get`."""
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise CoordinatorUnavailableError(
                f"the coordinator at {self._http.base_url} does not answer: {type(error).__name__}",
                hint="is it running? COORDINATOR_HOST and COORDINATOR_PORT say where it is looked for",
            ) from None
        try:
            shown: dict[str, Any] = answer.json()
        except ValueError:
            shown = {}
        if answer.is_error:
            raise RefusedError(answer.status_code, shown)
        return shown
