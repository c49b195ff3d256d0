"""Which endpoints there are: LARAVEL_WEBHOOK, and those of WEBHOOKS_FILE, which is read again when it changes.

Neither a secret nor a whole address is ever said in an error: the address may hold a password.
"""

import hashlib
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from daemon.core.errors import SettingsError
from daemon.core.ids import ID_PATTERN
from daemon.core.sections import WebhookSettings
from daemon.core.setting_types import HttpUrl
from daemon.core.settings import named_secret
from daemon.sessions.events import Event, EventKind

log = structlog.get_logger()

LARAVEL = "laravel"
ENDPOINT_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,40}$"

_SECRET_CHARS = 16
_MAX_FILE_BYTES = 1_000_000

Stamps = dict[Path, tuple[int, ...]]
"""What tells whether a file has changed; empty of one that is not there."""


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """One receiver. `events` and `workspaces` are None for all."""

    name: str
    url: SecretStr
    secret: SecretStr
    previous_secret: SecretStr | None = None
    events: frozenset[EventKind] | None = None
    workspaces: frozenset[str] | None = None

    @property
    def host(self) -> str:
        """Host and port of the address: what may be shown of it."""
        parts = urlsplit(self.url.get_secret_value())
        host = parts.hostname or ""
        return f"{host}:{parts.port}" if parts.port else host

    @property
    def url_digest(self) -> str:
        """Tells two addresses apart without showing them."""
        return hashlib.sha256(self.url.get_secret_value().encode()).hexdigest()[:16]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys that sign, the present one first."""
        given = (self.secret, self.previous_secret)
        return tuple(secret.get_secret_value() for secret in given if secret is not None)

    def wants(self, event: Event) -> bool:
        """Whether it subscribes to this event. One that is not one session's is of every workspace."""
        if self.events is not None and event.kind not in self.events:
            return False
        return self.workspaces is None or not event.session_id or event.workspace_id in self.workspaces


class _Entry(BaseModel):
    """One `[[endpoint]]` of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(pattern=ENDPOINT_PATTERN)
    url: HttpUrl
    secret: str | None = None
    secret_file: Path | None = None
    secret_env: str | None = Field(None, pattern=r"^[A-Z][A-Z0-9_]*$")
    previous_secret: str | None = None
    previous_secret_file: Path | None = None
    previous_secret_env: str | None = Field(None, pattern=r"^[A-Z][A-Z0-9_]*$")
    events: list[EventKind] | None = None
    workspaces: list[str | int] | None = None


class Configured:
    """The endpoints as they are configured now."""

    def __init__(self, settings: WebhookSettings) -> None:
        """Read them.

        Raises:
            SettingsError: something is wrong; each line says what.
        """
        self._settings = settings
        self._seen: Stamps = {}
        self._endpoints = load_endpoints(settings, self._seen)

    def current(self) -> tuple[EndpointConfig, ...]:
        """Return them, read again if the file or one with a secret has changed.

        What is wrong now leaves them as they were, loudly, until one of the files that were looked at changes.
        """
        if all(_stamp(path) == stamp for path, stamp in self._seen.items()):
            return self._endpoints
        self._seen = {}
        try:
            self._endpoints = load_endpoints(self._settings, self._seen)
            log.info("webhook endpoints read again", endpoints=[one.name for one in self._endpoints])
        except SettingsError as error:
            log.error("WEBHOOKS_FILE is wrong, the endpoints stay as they were", code=error.code, error=error.message)
        return self._endpoints


def load_endpoints(settings: WebhookSettings, seen: Stamps | None = None) -> tuple[EndpointConfig, ...]:
    """Return all endpoints, by name; into `seen` goes each file that was looked at, also one that is not there.

    Raises:
        SettingsError: each line of its message names one thing that is wrong.
    """
    problems: list[str] = []
    seen = {} if seen is None else seen
    found = [*_laravel(settings, problems), *(_from_file(settings.file, seen, problems) if settings.file else [])]
    names = [one.name for one in found]
    problems += [
        f"WEBHOOKS_FILE: there is more than one endpoint {name!r}"
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
    if problems:
        raise SettingsError("\n".join(problems), hint="see docs/api.md for the file, .env.example for the settings")
    return tuple(sorted(found, key=lambda one: one.name))


def _laravel(settings: WebhookSettings, problems: list[str]) -> list[EndpointConfig]:
    events = None
    if settings.events.strip() != "all":
        names = [name.strip() for name in settings.events.split(",") if name.strip()]
        known = {kind.value for kind in EventKind}
        wrong = [name for name in names if name not in known]
        if wrong or not names:
            problems.append(
                f"WEBHOOK_EVENTS={settings.events!r} is not allowed: all, or some of {', '.join(sorted(known))}"
            )
            return []
        events = frozenset(EventKind(name) for name in names)
    if settings.url is None:
        return []
    previous = settings.secret_previous if settings.secret_previous.get_secret_value() else None
    return [
        EndpointConfig(
            name=LARAVEL, url=SecretStr(settings.url), secret=settings.secret, previous_secret=previous, events=events
        )
    ]


def _from_file(path: Path, seen: Stamps, problems: list[str]) -> list[EndpointConfig]:
    try:
        raw = tomllib.loads(_private_text(path, seen))
    except (ValueError, OSError) as error:
        problems.append(f"WEBHOOKS_FILE={str(path)!r} is not allowed: {_why(error)}")
        return []
    entries = raw.get("endpoint", [])
    if set(raw) - {"endpoint"} or not isinstance(entries, list):
        problems.append(f"WEBHOOKS_FILE={str(path)!r} is not allowed: it may have [[endpoint]] tables only")
        return []
    return [one for at, entry in enumerate(entries, 1) if (one := _endpoint(path, at, entry, seen, problems))]


def _endpoint(path: Path, at: int, raw: Any, seen: Stamps, problems: list[str]) -> EndpointConfig | None:
    named = raw.get("name") if isinstance(raw, Mapping) else None
    where = f"WEBHOOKS_FILE: endpoint {named!r}" if isinstance(named, str) else f"WEBHOOKS_FILE: endpoint number {at}"
    try:
        entry = TypeAdapter(_Entry).validate_python(raw)
    except ValidationError as error:
        problems += [
            f"{where}: {'.'.join(map(str, item['loc'])) or 'entry'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False)
        ]
        return None
    before = len(problems)
    secret = _secret(path, where, "secret", entry, seen, problems)
    previous = _secret(path, where, "previous_secret", entry, seen, problems)
    if secret is None and len(problems) == before:
        problems.append(f"{where}: give one of secret, secret_file, secret_env")
    workspaces = [str(one) for one in entry.workspaces or []]
    problems += [f"{where}: workspaces: an id must match {ID_PATTERN}" for one in workspaces if not _is_id(one)]
    if secret is None or len(problems) > before:
        return None
    return EndpointConfig(
        name=entry.name,
        url=SecretStr(entry.url),
        secret=secret,
        previous_secret=previous,
        events=None if entry.events is None else frozenset(entry.events),
        workspaces=None if entry.workspaces is None else frozenset(workspaces),
    )


def _secret(path: Path, where: str, field: str, entry: _Entry, seen: Stamps, problems: list[str]) -> SecretStr | None:
    """Return what one of `field`, `field_file` and `field_env` gives; None, with a problem if it is a bad one."""
    text, file, env = (getattr(entry, f"{field}{ending}") for ending in ("", "_file", "_env"))
    given = [one for one in (text, file, env) if one is not None]
    if not given:
        return None
    if len(given) > 1:
        problems.append(f"{where}: give only one of {field}, {field}_file, {field}_env")
        return None
    try:
        value: str | None = text if file is None else _private_text(path.parent / file, seen).strip()
        if env is not None:
            value = named_secret(env)
    except (ValueError, OSError) as error:
        problems.append(f"{where}: {field}_file: {_why(error)}")
        return None
    if not value or len(value) < _SECRET_CHARS:
        problems.append(f"{where}: {field} must have at least {_SECRET_CHARS} characters")
        return None
    return SecretStr(value)


def _private_text(path: Path, seen: Stamps) -> str:
    """Return a file's text.

    Raises:
        ValueError: others than its owner and group may read it, or it is not a text file of sensible size.
    """
    seen[path] = _stamp(path)  # before it is read: what changes meanwhile is read again
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise ValueError("it is not a file")
        if mode & stat.S_IRWXO:
            raise ValueError("everybody may read or write it: chmod o-rwx")
        content = file.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise ValueError("it is too large")
    return content.decode()


def _why(error: Exception) -> str:
    """Say what is wrong with a file, without what is in it."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, tomllib.TOMLDecodeError):
        place = re.search(r"\(at .*\)$", str(error))
        return f"it is not TOML {place[0] if place else ''}".rstrip()
    return str(error)


def _is_id(text: str) -> bool:
    return re.fullmatch(ID_PATTERN.removesuffix("$"), text) is not None


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)
