"""Steps of the product at which a process ends itself by SIGKILL: named, found and wrapped from outside.

A step is written as `before module:function` or `after module:Class.method`, with ` #3` for the third such call and
` ~regex` for calls with such arguments only. `after` means that the call has returned without an error. What is
wrapped is replaced everywhere in the product, so that it does not matter who imported it and how.
"""

import functools
import importlib
import inspect
import os
import pkgutil
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_PRODUCT = ("daemon", "shards")
_FORM = re.compile(r"(?P<moment>before|after) (?P<target>[\w.]+:[\w.]+)(?: #(?P<call>\d+))?(?: ~(?P<where>.+))?")
_TEXT_BYTES = 300


class UnknownStepError(Exception):
    """There is no such step: whoever waits for it would wait in vain."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step; `call` counts from 1."""

    moment: str
    target: str
    call: int = 1
    where: str = ""

    @classmethod
    def parse(cls, text: str) -> "Step":
        """Read a step.

        Raises:
            UnknownStepError: not of the form above.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise UnknownStepError(f"not a step: {text!r}")
        return cls(
            moment=found["moment"],
            target=found["target"],
            call=int(found["call"] or 1),
            where=found["where"] or "",
        )

    def is_at(self, moment: str, target: str, arguments: Sequence[object]) -> bool:
        """Whether a call is one of this step's."""
        if (moment, target) != (self.moment, self.target):
            return False
        return not self.where or re.search(self.where, " ".join(map(_text, arguments))) is not None


class Fuse:
    """Steps that must be reached one after another; the process dies at the last one."""

    def __init__(self, steps: Sequence[Step], *, note: Path, armed_by: Path | None) -> None:
        """`note` gets a line before the death; calls count only while the file `armed_by` exists."""
        self._steps = steps
        self._note = note
        self._armed_by = armed_by
        self._place = 0
        self._calls = 0
        self._lock = threading.Lock()

    def attach(self) -> None:
        """Wrap everything that the steps name.

        Raises:
            UnknownStepError: one of them is not there.
        """
        for package in _PRODUCT:
            _import_all(package)
        for target in {step.target for step in self._steps}:
            _replace(target, functools.partial(self._wrap, target))

    def _wrap(self, target: str, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise UnknownStepError(f"{target} is a generator: it has no one moment of return")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def waited(*args: Any, **named: Any) -> Any:
                self._pass("before", target, (*args, *named.values()))
                result = await function(*args, **named)
                self._pass("after", target, (*args, *named.values()))
                return result

            return waited

        @functools.wraps(function)
        def called(*args: Any, **named: Any) -> Any:
            self._pass("before", target, (*args, *named.values()))
            result = function(*args, **named)
            self._pass("after", target, (*args, *named.values()))
            return result

        return called

    def _pass(self, moment: str, target: str, arguments: Sequence[object]) -> None:
        with self._lock:
            if self._armed_by is not None and not self._armed_by.exists():
                return
            step = self._steps[self._place]
            if not step.is_at(moment, target, arguments):
                return
            self._calls += 1
            if self._calls < step.call:
                return
            self._place, self._calls = self._place + 1, 0
            if self._place == len(self._steps):
                self._die()

    def _die(self) -> None:
        self._note.write_text("died at the step")
        os.kill(os.getpid(), signal.SIGKILL)


def _import_all(package: str) -> None:
    """Import everything now, so that nobody gets hold of an unwrapped function later."""
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, f"{package}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _replace(target: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    module_name, _, path = target.partition(":")
    *owners, name = path.split(".")
    try:
        owner: Any = functools.reduce(getattr, owners, importlib.import_module(module_name))
        found = inspect.getattr_static(owner, name)
    except (ImportError, AttributeError) as error:
        raise UnknownStepError(f"there is no {target}: {error}") from None
    bound = isinstance(found, classmethod | staticmethod)
    function = found.__func__ if bound else found
    if inspect.isclass(function) or not callable(function):
        raise UnknownStepError(f"{target} is not a function")
    wrapped = wrap(function)
    setattr(owner, name, type(found)(wrapped) if bound else wrapped)
    if isinstance(owner, ModuleType):
        _replace_imported(function, wrapped)


def _replace_imported(function: object, wrapped: object) -> None:
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] in _PRODUCT:
            for name, value in list(vars(module).items()):
                if value is function:
                    setattr(module, name, wrapped)


def _text(argument: object) -> str:
    """Return what a step's regex is matched against: for a file descriptor, the path of its file."""
    if isinstance(argument, bytes | bytearray):
        return bytes(argument[:_TEXT_BYTES]).decode("latin-1")
    if type(argument) is int:
        try:
            return os.readlink(f"/proc/self/fd/{argument}")
        except OSError:
            return str(argument)
    return str(argument)
