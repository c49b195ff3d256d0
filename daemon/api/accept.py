"""Choosing what to answer with by the `Accept` header (RFC 9110, 12.5.1). Pure."""

import math
from collections.abc import Sequence


def choose(accept: str | None, offers: Sequence[str]) -> str | None:
    """Return the offered media type that is wanted most, the earlier of equals; None if none is acceptable.

    A header that is missing or empty accepts everything; a range that cannot be read is ignored.
    """
    if not accept or not accept.strip():
        return offers[0]
    ranges = [_range(part) for part in accept.split(",")]
    weights = [_weight(offer, ranges) for offer in offers]
    best = max(weights)
    return offers[weights.index(best)] if best > 0 else None


def _range(text: str) -> tuple[str, float]:
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    weight = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = min(max(float(value), 0.0), 1.0)
            except ValueError:
                weight = 0.0
    return media, 0.0 if math.isnan(weight) else weight


def _weight(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The most specific range that fits decides, so `image/*;q=0.5, image/png;q=0` refuses PNG."""
    for wanted in (offer, offer.partition("/")[0] + "/*", "*/*"):
        fitting = [weight for media, weight in ranges if media == wanted]
        if fitting:
            return max(fitting)
    return 0.0
