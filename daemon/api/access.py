"""How a route gets at what the app was built with: the directory of sessions, and the restore jobs."""

from typing import Annotated, cast

from fastapi import Depends, Request

from daemon.api.ports import Restores, SessionDirectory


def _directory(request: Request) -> SessionDirectory:
    return cast(SessionDirectory, request.app.state.directory)


DirectoryOf = Annotated[SessionDirectory, Depends(_directory)]


def _restores(request: Request) -> Restores:
    return cast(Restores, request.app.state.restores)


RestoresOf = Annotated[Restores, Depends(_restores)]
