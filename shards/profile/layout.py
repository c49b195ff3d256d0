"""Where one shard keeps things below PROFILE_ROOT, and the only code that makes or removes profile directories.

    <root>/<shard>/sessions/<session_id>/    live profiles
    <root>/<shard>/sessions/.<anything>      on its way in (unpacking) or out (removal)
    <root>/<shard>/tmp/                      snapshots; on the same file system, so that files can be linked
    <system's tmp>/blazz-<hash>-<shard>/     Chromium's temporary files; elsewhere, as a full disk would kill Chromium

All directories can be entered by their owner only. A session id cannot start with a dot.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from daemon.core.errors import FatalError, InvalidInputError
from daemon.core.files import private_directory
from daemon.core.ids import check_id, check_shard_name


class ShardLayout:
    """The directories of one shard. Makes them when created; one living process owns them."""

    def __init__(self, profile_root: Path, shard: str) -> None:
        self.root = private_directory(profile_root.absolute()) / check_shard_name(shard)
        self.sessions_dir = private_directory(self.root / "sessions")
        self.tmp_dir = private_directory(self.root / "tmp")
        self.root.chmod(0o700)
        # The hash keeps installations apart; the path is short, as Chromium makes a socket there.
        place = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:10]
        self.browser_tmp_dir = _own_directory(Path(tempfile.gettempdir(), f"blazz-{place}-{shard}"))

    def sweep(self) -> int:
        """Remove what a killed process of this shard left half done; return how many. Call once at start."""
        leftovers = [*self.tmp_dir.iterdir(), *self.sessions_dir.glob(".*"), *self.browser_tmp_dir.iterdir()]
        for path in leftovers:
            _delete(path)
        return len(leftovers)

    def session_ids(self) -> tuple[str, ...]:
        """Return the sessions that have a profile here."""
        return tuple(sorted(path.name for path in self.sessions_dir.iterdir() if not path.name.startswith(".")))

    def profile_dir(self, session_id: str) -> Path:
        """Return where the session's profile is, whether or not it exists.

        Raises:
            InvalidInputError: the id would leave its place.
        """
        path = self.sessions_dir / check_id(session_id, "session_id")
        if path.parent != self.sessions_dir or path.is_symlink():
            raise InvalidInputError("session id leads out of the profile directory", session_id=session_id)
        return path

    def reset_profile(self, session_id: str) -> Path:
        """Put an empty profile in place of what is there; return its directory."""
        self.remove_profile(session_id)
        return private_directory(self.profile_dir(session_id))

    def remove_profile(self, session_id: str) -> None:
        """Remove a profile: at once under its name, then its files. No error when there is none."""
        path = self.profile_dir(session_id)
        aside = self.sessions_dir / f".{session_id}.{secrets.token_hex(4)}.old"
        try:
            os.rename(path, aside)
        except FileNotFoundError:
            return
        _delete(aside)

    def new_browser_tmp(self) -> Path:
        """Return a new private directory for one Chromium's temporary files; removed like `new_temporary`'s."""
        return Path(tempfile.mkdtemp(dir=self.browser_tmp_dir))

    def new_temporary(self, purpose: str) -> Path:
        """Return a new private directory; the caller removes it, and after a crash `sweep` does."""
        return Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=self.tmp_dir))

    @contextlib.contextmanager
    def temporary(self, purpose: str) -> Iterator[Path]:
        """Give a new private directory that is gone afterwards, even when its use failed."""
        path = self.new_temporary(purpose)
        try:
            yield path
        finally:
            _delete(path)


def _own_directory(path: Path) -> Path:
    """Make a directory where everybody may write; never use, and so never sweep, one that somebody else put there."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise FatalError("a directory for temporary files belongs to somebody else", hint="remove it", path=path)
    path.chmod(0o700)
    return path


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
