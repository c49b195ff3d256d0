"""Opening a copy of any form, plain or encrypted: decrypt, check the seal, read the manifest, check the expectation.

The form is told by the first bytes, never by where the copy came from: hot copies of an earlier release are zips.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from daemon.core.errors import ArchiveDamagedError, ArchiveNotEncryptedError, UnavailableError
from shards.archive import compact, envelope, zipped
from shards.archive.bounds import Expected, UnpackLimits
from shards.archive.contents import Contents
from shards.archive.keyring import Keyring
from shards.archive.preface import MAGIC_BYTES, Head, Kind
from shards.archive.seal import check_seal


@contextlib.contextmanager
def opened(
    source: BinaryIO,
    scratch: Callable[[], BinaryIO],
    *,
    limits: UnpackLimits,
    keyring: Keyring,
    expected: Expected,
) -> Iterator[Contents]:
    """Open a copy that begins where `source` does; `scratch` gives a new file for a decrypted one.

    What is yielded has an intact seal and a manifest that meets the limits and the expectation. The files are not
    verified yet.

    Raises:
        ArchiveDamagedError, ArchiveTooNewError, ArchiveKeyMissingError, ArchiveNotEncryptedError: see `unpack`.
        OSError: of the disk.
    """
    source.seek(0)
    if source.read(MAGIC_BYTES) != envelope.MAGIC:
        contents = _plain(source, limits, expected)[1]
        if not keyring.accept_plain:
            # Only now, as a damaged one may merely look like this. Nothing older is used instead: it may be real.
            raise ArchiveNotEncryptedError(
                "copy is not encrypted, and only encrypted ones are accepted",
                hint="if it is yours, set ARCHIVE_ACCEPT_PLAIN=true and let `blazz keys rotate` encrypt it",
            )
        yield contents
        return
    clear = envelope.read_envelope(source)
    expected.check_place(clear.head.session_id, clear.head.order)
    with scratch() as decrypted:
        envelope.decrypt(source, clear, keyring, decrypted)
        kind, contents = _plain(decrypted, limits, expected)
        _check_head(clear.head, kind, contents)
        yield contents


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Say of any failure of the disk what it means to a restore: nothing is known of the copy, try again."""
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            f"copy cannot be unpacked: {error.strerror}", hint="free disk space under PROFILE_ROOT"
        ) from error


def _plain(file: BinaryIO, limits: UnpackLimits, expected: Expected) -> tuple[Kind, Contents]:
    size_bytes = check_seal(file)
    magic = file.read(MAGIC_BYTES)
    file.seek(0)
    kind: Kind
    if magic.startswith(zipped.MAGIC):
        kind, contents = "archive", zipped.read_zip(file, limits)
    elif magic == compact.MAGIC:
        kind, contents = "hot", compact.read_compact(file, limits, size_bytes)
    else:
        raise ArchiveDamagedError("copy has an unknown form", hint="was it written by a newer release?")
    expected.check(contents.manifest)
    return kind, contents


def _check_head(head: Head, kind: Kind, contents: Contents) -> None:
    manifest = contents.manifest
    if (head.kind, head.session_id, head.order) != (kind, manifest.session_id, manifest.order):
        raise ArchiveDamagedError("encrypted copy does not hold what its head says", session_id=head.session_id)
