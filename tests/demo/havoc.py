"""Kills what runs sessions and takes their disks away, as the loss of a server would."""

import contextlib
import secrets
import shutil
from pathlib import Path

import psutil


def browsers_below(profile_root: Path) -> list[psutil.Process]:
    """Return every process whose command line names a path below `profile_root`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(f"{profile_root}/" in argument for argument in process.cmdline()):
                found.append(process)
    return found


def kill_and_wipe(shard_pids: list[int], profile_root: Path) -> tuple[int, int]:
    """kill -9 the shards and all Chromium processes, and remove all profiles; return the numbers of both.

    The directory is moved away within milliseconds, before a restarted shard can find anything in it.
    """
    shards = [psutil.Process(pid) for pid in shard_pids]
    browsers = {child for shard in shards for child in shard.children(recursive=True)}
    browsers.update(browsers_below(profile_root))
    for process in (*shards, *browsers):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    profiles = len(list(profile_root.glob("*/sessions/[!.]*")))
    away = profile_root.with_name(f"lost-{secrets.token_hex(4)}")
    profile_root.rename(away)
    psutil.wait_procs(list(browsers), timeout=10)
    shutil.rmtree(away)
    return len(browsers), profiles
