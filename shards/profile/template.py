"""Templates: the page's caches as one Chromium filled them on a profile that was never logged in. Blocking.

    <PROFILE_ROOT>/.templates/<key>/<one>/manifest.json and the files, by their paths in a profile

A template is never changed and its files are never shared: Chromium rewrites entries in place, so a profile gets
clones or copies. A changed bit in them can keep the page from connecting, so every file is verified as it is placed.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import structlog

from daemon.core.clock import iso, parse_iso, utc_now
from daemon.core.errors import DamagedError, FatalError
from daemon.core.files import private_directory, sync_directory, write_atomic
from shards.profile.caches import CACHE_DIRS
from shards.profile.copying import copy_verified
from shards.profile.httpcache import ENTRY, is_immutable

log = structlog.get_logger()

MAX_BYTES = 64_000_000
_FOLDER = ".templates"
"""No shard's name begins with a dot."""
_MANIFEST = "manifest.json"
_HTTP = "Default/Cache/Cache_Data"
_PARTS = (_HTTP, "Default/Code Cache", "Default/Service Worker")
_NEVER = {"LOCK", "LOG", "LOG.old"}
_REBUILT = f"{_HTTP}/index-dir/the-real-index"
"""It would name entries that are left out; Chromium makes it again from those that are there."""


@dataclass(frozen=True, kw_only=True)
class TemplateKey:
    """What a template fits: full Chromium and headless-shell of one version do not use each other's caches."""

    chromium: str
    """Version, as `156.0.8078.79`."""
    binary: str
    """Name of the binary's file."""
    origin: str
    """Of the page, as `https://web.whatsapp.com`."""

    @property
    def name(self) -> str:
        """Name of the key's directory."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class TemplateFile:
    """One file, by its path in a profile."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Template:
    """A sealed template in the directory `folder`. `wa_version` is the page's own word, None if it had none."""

    folder: Path
    key: TemplateKey
    made_at: datetime
    wa_version: str | None
    files: tuple[TemplateFile, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def answers(self) -> int:
        """How many answers of the HTTP cache are in it; compiled code is used only together with the very answer."""
        return sum(file.path.startswith(f"{_HTTP}/") and file.path.endswith("_0") for file in self.files)


def seal(profile_dir: Path, root: Path, key: TemplateKey, wa_version: str | None) -> Template:
    """Make a template of the caches in a profile that was never logged in and whose Chromium has exited.

    On return it is on the disk and has replaced the older ones of its key.

    Raises:
        FatalError: there are no caches, or more than a template may hold.
        OSError: the disk does not take it; nothing is left.
    """
    paths = sorted(_shared_files(profile_dir))
    _check_size([profile_dir / path for path in paths])
    made_at = parse_iso(iso(utc_now()))  # to the millisecond, as the manifest keeps it
    place = private_directory(private_directory(root / _FOLDER) / key.name)
    fresh = private_directory(place / f".{secrets.token_hex(4)}.new")
    try:
        files = tuple(_seal_file(profile_dir, fresh, path) for path in paths)
        template = Template(
            folder=place / f"{made_at:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
            key=key,
            made_at=made_at,
            wa_version=wa_version,
            files=files,
        )
        write_atomic(fresh / _MANIFEST, _manifest(template))
        os.rename(fresh, template.folder)
        sync_directory(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    for older in place.iterdir():
        if older != template.folder:
            shutil.rmtree(older, ignore_errors=True)
    return template


def newest(root: Path, key: TemplateKey) -> Template | None:
    """Return the newest template of a key, or None."""
    fitting = [template for template in templates(root) if template.key == key]
    return max(fitting, key=lambda template: template.made_at, default=None)


def templates(root: Path) -> tuple[Template, ...]:
    """Return all templates whose manifest can be read."""
    found = (_read(path.parent) for path in sorted((root / _FOLDER).glob(f"[!.]*/[!.]*/{_MANIFEST}")))
    return tuple(template for template in found if template is not None)


def remove(root: Path) -> int:
    """Remove all templates; return how many there were. Sessions keep the copies that they have."""
    count = len(templates(root))
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(root / _FOLDER)
    return count


def place(template: Template, into: Path, *, min_free_bytes: int) -> bool:
    """Put a template's files into a restored profile that has no caches; return whether they are there now.

    Never raises: a profile without them only downloads what they hold.
    """
    if any(os.path.lexists(into / folder) for folder in CACHE_DIRS):
        return False
    try:
        status = os.statvfs(into)
        if status.f_bavail * status.f_frsize < min_free_bytes + template.size_bytes:
            raise OSError("too little free disk space")
        for file in template.files:
            target = into / _checked(file.path)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            copy_verified(template.folder / file.path, target, sha256=file.sha256)
    except (OSError, DamagedError) as error:
        for folder in CACHE_DIRS:
            shutil.rmtree(into / folder, ignore_errors=True)
        log.warning("page template not used", error=str(error), template=str(template.folder))
        return False
    return True


def _shared_files(profile_dir: Path) -> Iterator[str]:
    """Yield the paths of what may be shared."""
    for part in _PARTS:
        for folder, _, names in os.walk(profile_dir / part):
            for name in names:
                path = Path(folder, name)
                relative = path.relative_to(profile_dir).as_posix()
                if name in _NEVER or relative == _REBUILT or path.is_symlink() or not path.is_file():
                    continue
                if part != _HTTP or _may_be_shared(path):
                    yield relative


def _may_be_shared(path: Path) -> bool:
    entry = ENTRY.fullmatch(path.name)
    if entry is None:
        return path.name == "index"
    first = path.with_name(f"{entry[1]}_0")
    return first.is_file() and is_immutable(first)


def _check_size(files: list[Path]) -> None:
    size_bytes = sum(file.stat().st_size for file in files)
    if not files:
        raise FatalError("the page left no caches", hint="see WHATSAPP_WEB_URL")
    if size_bytes > MAX_BYTES:
        raise FatalError(
            "the page's caches are too large for a template",
            hint="every restored session would get a copy; go on without",
            size_bytes=size_bytes,
            max_bytes=MAX_BYTES,
        )


def _seal_file(profile_dir: Path, fresh: Path, path: str) -> TemplateFile:
    target = fresh / path
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest, size_bytes = hashlib.sha256(), 0
    with (
        open(os.open(profile_dir / path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as old,
        open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new,
    ):
        while chunk := old.read(1 << 20):
            digest.update(chunk)
            size_bytes += new.write(chunk)
        new.flush()
        os.fsync(new.fileno())
    return TemplateFile(path=path, size_bytes=size_bytes, sha256=digest.hexdigest())


def _manifest(template: Template) -> bytes:
    content = {
        **asdict(template.key),
        "made_at": iso(template.made_at),
        "wa_version": template.wa_version,
        "files": [asdict(file) for file in template.files],
    }
    return json.dumps(content, indent=1).encode()


def _read(folder: Path) -> Template | None:
    try:
        raw = json.loads((folder / _MANIFEST).read_bytes())
        return Template(
            folder=folder,
            key=TemplateKey(**{name: str(raw[name]) for name in TemplateKey.__dataclass_fields__}),
            made_at=parse_iso(raw["made_at"]),
            wa_version=raw["wa_version"],
            files=tuple(TemplateFile(**file) for file in raw["files"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("page template cannot be read", error=str(error), template=str(folder))
        return None


def _checked(path: str) -> str:
    """Return a path of the manifest if it stays in the places of the caches."""
    if ".." in path.split("/") or not path.startswith(tuple(f"{part}/" for part in _PARTS)):
        raise DamagedError("template names a file outside of its parts", path=ascii(path[:200]))
    return path
