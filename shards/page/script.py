"""The one script that runs in every document of the WhatsApp page: wa-js's settings, wa-js, our bridge. Pure text."""

import json
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from shards.page.bundle import Bundle

BINDING = "__blazz_post"
_BRIDGE = Path(__file__).with_name("bridge.js")

# Analytics would tell Google about every session, and link previews would send message texts' addresses to third
# parties; wa-js does both unless told otherwise before it starts.
_WPP_CONFIG: dict[str, object] = {
    "disableGoogleAnalytics": True,
    "googleAnalyticsId": None,
    "linkPreviewApiServers": [],
    "deviceName": False,
}


def page_origin(url: str) -> str:
    """Return the origin of an address as browsers write it: no default port."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port and parts.port != default else ""
    return f"{parts.scheme}://{host}{port}"


@cache
def document_script(bundle: Bundle, origin: str, modules_s: float) -> str:
    """Return what is evaluated at the start of each document; it does nothing in frames and on other origins.

    wa-js is kept from looking for WhatsApp's modules for up to `modules_s` seconds while they are not there.
    """
    options = {"binding": BINDING, "holdMs": round(modules_s * 1000)}
    return "\n".join(
        (
            f"if (window === window.top && location.origin === {json.dumps(origin)}) {{",
            f"window.WPPConfig = {json.dumps(_WPP_CONFIG)};",
            bundle.source,
            f";({_bridge()})({json.dumps(options)});",
            "}",
        )
    )


def call_expression(action: str, *args: object) -> str:
    """Return the expression that calls an action of the bridge; null while there is no bridge."""
    return f"window.__blazz ? window.__blazz.call({json.dumps(action)}, {json.dumps(args)}) : null"


def receipt_expression(number: object) -> str:
    """Return the expression that tells the page that all it told up to its `number`th question has been taken."""
    return f"window.__blazz && window.__blazz.heardUpTo({json.dumps(number)})"


@cache
def _bridge() -> str:
    text = _BRIDGE.read_text()
    # Only the function itself: a comment line before it would comment out the bracket in front of it.
    return text[text.index("(options) =>") :].rstrip().rstrip(";")
