"""Fault tests run whole houses."""

from tests.integration.house.conftest import open_house

__all__ = ["open_house"]
