"""The knobs of one stand-in: what the command line sets and `POST /config` may change while it runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from tests.standin.fields import BadField

_LIMITS: dict[str, tuple[float, float]] = {
    "ref_ttl_ms": (50, 3_600_000),
    "refs": (1, 100),
    "sync_ms": (0, 600_000),
    "cold_ms": (0, 600_000),
    "stall_ms": (0, 600_000),
    "ack_hold_ms": (0, 600_000),
    "prep_ms": (0, 600_000),
    "sw_mb": (0, 200),
    "http_mb": (0, 200),
}


@dataclass(kw_only=True)
class Options:
    """Page and protocol behaviour. Pages already loaded keep what they were served."""

    ref_ttl_ms: int = 20_000  # how long one QR code is shown
    refs: int = 6  # QR codes offered before the page goes idle
    sync_ms: int = 1_500  # from log-in to a usable page
    cold_ms: int = 0  # extra delay before the page starts, as on a slow machine
    stall_ms: int = 0  # how long one of the scripts in the middle is held back, as a bad network does; 0 lets it go
    deferred: bool = False  # the scripts run once the page has been read
    prep_ms: int = 0  # how long the page prepares a file before its message exists, as it does with a big video
    sw_mb: float = 0.0  # what the service worker caches; the real site stores about 12
    http_mb: float = 0.0  # what goes into the HTTP cache; the real site about 6.6
    csp: bool = True
    trusted_types: bool = False
    ack_hold_ms: int = 0  # how long a message that was taken is not acknowledged
    auto_ack: bool = True  # contacts receive (2) and read (3) every message by themselves

    def __post_init__(self) -> None:
        self.change(dataclasses.asdict(self))

    def change(self, values: dict[str, Any]) -> None:
        """Take over the given values, all or none.

        Raises:
            BadField: an unknown name, a wrong type or a value out of range.
        """
        checked = {name: self._check(name, value) for name, value in values.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def _check(self, name: str, value: Any) -> int | float | bool:
        default = _DEFAULTS.get(name)
        if default is None:
            raise BadField(name, f"is not a setting; there are {', '.join(sorted(_DEFAULTS))}")
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise BadField(name, "must be true or false")
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadField(name, "must be a number")
        low, high = _LIMITS[name]
        if not low <= value <= high:
            raise BadField(name, f"must be between {low:g} and {high:g}")
        return float(value) if isinstance(default, float) else int(value)


_DEFAULTS: dict[str, int | float | bool] = {
    field.name: field.default  # type: ignore[misc]  # every field has a plain default
    for field in dataclasses.fields(Options)
}
