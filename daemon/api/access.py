"""How a route gets at the directory of sessions that the app was built with."""

from typing import Annotated, cast

from fastapi import Depends, Request

from daemon.api.ports import SessionDirectory


def _directory(request: Request) -> SessionDirectory:
    return cast(SessionDirectory, request.app.state.directory)


DirectoryOf = Annotated[SessionDirectory, Depends(_directory)]
