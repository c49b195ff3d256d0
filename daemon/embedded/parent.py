"""Ties a process to its parent, so that nothing stays behind when supervisord or a test is killed."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send us `number` when our parent ends; also holds for what we exec afterwards (Linux)."""
    parent = os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot ask for the signal of the parent's end")
    if os.getppid() != parent:  # it ended before we could ask
        os.kill(os.getpid(), number)
