"""Which keys the stored copies are sealed with, and how long each key is still needed.

Read off the archives' metadata and the hot copies' heads, which are clear: good enough to count, nothing is verified.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from daemon.core.errors import ArchiveDamagedError, ObjectNotFoundError
from daemon.objectstore.catalogue import KEY_ID, ArchiveRef, archive_ref
from shards.archive.head import read_head
from shards.cli.parts import Parts, each
from shards.cli.progress import ProgressLine

_PARALLEL_LOOKS = 16


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """One archive and the id of the key that seals it; None: it is not encrypted."""

    ref: ArchiveRef
    key_id: str | None


@dataclass(kw_only=True)
class Use:
    """What one key is needed for.

    `newest` of the archives are among the newest of their session and go as that one is backed up again; the others
    go by themselves, the last of them after the day `until`.
    """

    archives: int = 0
    hot_copies: int = 0
    newest: int = 0
    until: date | None = None

    @property
    def needed(self) -> bool:
        """Whether any copy is sealed with it."""
        return bool(self.archives or self.hot_copies)


@dataclass(kw_only=True)
class Look:
    """One look at everything that is stored."""

    sealed: dict[tuple[str, str], list[Sealed]] = field(default_factory=lambda: defaultdict(list))
    hot_copies: dict[str | None, int] = field(default_factory=lambda: defaultdict(int))
    unreadable: int = 0
    """Hot copies whose head is damaged."""


async def look(parts: Parts, progress: ProgressLine) -> Look:
    """Look at all archives and hot copies.

    Raises:
        ObjectStoreUnavailableError, RedisUnavailableError: not everything was seen.
    """
    seen = Look()

    async def at_archive(ref: ArchiveRef) -> None:
        try:
            facts = await parts.archives.facts(ref.key)
        except ObjectNotFoundError:
            return  # removed by retention meanwhile
        sealed = Sealed(ref=ref, key_id=facts.metadata.get(KEY_ID))
        seen.sealed[ref.workspace_id, ref.session_id].append(sealed)
        progress.step()

    refs = [ref async for ref in _archives(parts)]
    progress.expect(len(refs))
    await each(refs, at_archive, at_once=_PARALLEL_LOOKS)
    await _look_at_hot_copies(parts, seen)
    return seen


async def _archives(parts: Parts) -> AsyncIterator[ArchiveRef]:
    async for item in parts.archives.objects("workspace_"):
        ref = archive_ref(item)
        if ref is not None:
            yield ref


async def _look_at_hot_copies(parts: Parts, seen: Look) -> None:
    after: str | None = None
    while True:
        records, after = await parts.registry.records.page(after, 500)
        for head in await parts.registry.copies.heads([record.session_id for record in records]):
            if head is None:
                continue
            try:
                seen.hot_copies[read_head(head).key_id] += 1
            except ArchiveDamagedError:
                seen.unreadable += 1
        if after is None:
            return


def plan_use(seen: Look, *, keep_newest: int, keep_days: int) -> Mapping[str | None, Use]:
    """Return what each key is needed for; None stands for "not encrypted". Pure."""
    found: dict[str | None, Use] = defaultdict(Use)
    for key_id, count in seen.hot_copies.items():
        found[key_id].hot_copies = count
    for archives in seen.sealed.values():
        for place, sealed in enumerate(_newest_first(archives)):
            use = found[sealed.key_id]
            use.archives += 1
            if place < keep_newest:
                use.newest += 1
            else:
                # Kept at most as the last one of its day, through `keep_days` further days.
                goes = sealed.ref.stored_at.date() + timedelta(days=keep_days)
                use.until = max(use.until or goes, goes)
    return found


def _newest_first(archives: Sequence[Sealed]) -> list[Sealed]:
    return sorted(archives, key=lambda sealed: sealed.ref.order, reverse=True)
