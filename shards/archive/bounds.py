"""What a copy must be and may be at most, to be unpacked: given by the caller, checked against the manifest. Pure."""

from dataclasses import dataclass

from daemon.core.errors import ArchiveDamagedError, ArchiveTooNewError, ArchiveUnsafeError
from shards.archive.manifest import Manifest, version_numbers

_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class UnpackLimits:
    """The most that a copy may unpack to."""

    max_files: int = 20_000
    max_file_bytes: int = 1024 * _MIB
    max_total_bytes: int = 2048 * _MIB
    max_manifest_bytes: int = 8 * _MIB

    def check(self, sizes: list[int]) -> None:
        """Check the sizes of all files that a copy would unpack to.

        Raises:
            ArchiveUnsafeError: too many, or too large.
        """
        if len(sizes) > self.max_files:
            raise ArchiveUnsafeError("archive holds too many files", files=len(sizes), limit=self.max_files)
        if sum(sizes) > self.max_total_bytes or max(sizes, default=0) > self.max_file_bytes:
            raise ArchiveUnsafeError("archive unpacks to more than allowed", size_bytes=sum(sizes))


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Which copy it must be; None does not ask.

    `order` is the `(token, generation)` that its name or its place stands for. `max_chromium` is the newest version
    that may have written it. Versions are compared as a whole and by number: 156.0.8079 is newer than 156.0.8078,
    because nothing promises that an older build reads what a newer one wrote.
    """

    session_id: str | None = None
    order: tuple[int, int] | None = None
    max_chromium: str | None = None

    def check_place(self, session_id: str, order: tuple[int, int]) -> None:
        """Check that a copy is where it belongs.

        Raises:
            ArchiveDamagedError: it is another session's, or stands under another copy's name.
        """
        if self.session_id is not None and session_id != self.session_id:
            raise ArchiveDamagedError(
                "archive belongs to another session", session_id=self.session_id, archive_session_id=session_id
            )
        if self.order is not None and order != self.order:
            raise ArchiveDamagedError(
                "archive is not the one that its name says", session_id=session_id, order=self.order, found=order
            )

    def check(self, manifest: Manifest) -> None:
        """Check that a copy is where it belongs, and that this Chromium may read it.

        Raises:
            ArchiveDamagedError: as `check_place`.
            ArchiveTooNewError: undamaged, but written by a newer Chromium.
        """
        self.check_place(manifest.session_id, manifest.order)
        if self.max_chromium is not None and version_numbers(manifest.chromium) > version_numbers(self.max_chromium):
            raise ArchiveTooNewError(
                "profile was written by a newer Chromium",
                hint=f"update Chromium on this host to {manifest.chromium} or later",
                session_id=manifest.session_id,
                written_by=manifest.chromium,
                here=self.max_chromium,
            )
