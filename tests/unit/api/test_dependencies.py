"""No request goes through a thread on its way to a route: FastAPI calls what is not async in one."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIRouter

import daemon.api


def _routes() -> Iterator[APIRoute]:
    for found in pkgutil.iter_modules(daemon.api.__path__):
        router = getattr(importlib.import_module(f"daemon.api.{found.name}"), "router", None)
        if isinstance(router, APIRouter):
            yield from (route for route in router.routes if isinstance(route, APIRoute))


def _called(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    if dependant.call is not None:
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _called(inner)


def _is_async(call: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004


def test_routes_and_what_they_depend_on_are_async() -> None:
    routes = list(_routes())
    assert len(routes) > 30
    assert not {f"{route.path}: {call}" for route in routes for call in _called(route.dependant) if not _is_async(call)}
