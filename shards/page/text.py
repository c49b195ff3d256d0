"""Text as it comes out of the page: JavaScript's strings may hold what no UTF-8 can."""

from typing import Any


def storable(value: Any) -> Any:
    """Return plain data with each half of a surrogate pair that stands alone replaced by U+FFFD.

    Anybody can put one into a name, a message or a reaction, and neither Redis nor a webhook could carry it.
    """
    match value:
        case str():
            return _text(value)
        case list():
            return [storable(item) for item in value]
        case dict():
            return {_text(name): storable(item) for name, item in value.items()}
        case _:
            return value


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value
