"""Where the coordinator is and which token a command has. Asks for no setting that the API's commands do not need."""

import re
from urllib.parse import urlsplit

from daemon.core.errors import SettingsError
from daemon.core.sections import CoordinatorSettings
from daemon.core.settings import client_choice, load_section

_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
_VISIBLE = re.compile(r"[\x21-\x7e]+")


def address_and_token() -> tuple[str, str]:
    """Return BLAZZ_URL, or else the address in the settings; and BLAZZ_TOKEN, or else API_TOKEN of the settings.

    Raises:
        SettingsError: one is wrong or missing.
    """
    url, token = ((given or "").strip() for given in client_choice())
    origin = "BLAZZ_TOKEN"
    if not url or not token:
        settings = load_section(CoordinatorSettings)
        url = url or _local(settings)
        if not token:
            token, origin = settings.api_token.get_secret_value().strip(), "API_TOKEN"
    if not token:
        raise SettingsError("there is no token for the coordinator", hint="set BLAZZ_TOKEN, or API_TOKEN on its host")
    if not _VISIBLE.fullmatch(token):
        raise SettingsError(f"{origin} is not allowed: visible ASCII characters only")
    return _checked(url), token


def _local(settings: CoordinatorSettings) -> str:
    host = _ANY.get(settings.host, f"[{settings.host}]" if ":" in settings.host else settings.host)
    return f"http://{host}:{settings.port}"


def _checked(url: str) -> str:
    """Return an address that a request can be made of. What is wrong with it is not repeated: it may hold a secret."""
    hint = "as https://blazz.example.com or http://127.0.0.1:8080"
    try:
        parts = urlsplit(url)
        usable = bool(_VISIBLE.fullmatch(url) and parts.scheme in {"http", "https"} and parts.hostname)
        usable = usable and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError("BLAZZ_URL is not allowed: it is no address of a server", hint=hint)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise SettingsError("BLAZZ_URL is not allowed: scheme, host, port and path only", hint=hint)
    return url
