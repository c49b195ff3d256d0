"""The keys that copies are encrypted with, and the key of one copy derived from them. Pure.

No key encrypts anything itself: each copy has a key of its own, derived by HKDF-SHA256 (RFC 5869) from the named key
and 32 random bytes, so that a nonce never comes twice under one key, however many copies there are.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from daemon.core.errors import ArchiveKeyMissingError
from daemon.core.sections import ArchiveSettings

SALT_BYTES = 32
CHECK_BYTES = 16
_KEY_BYTES = 32
_PURPOSE = b"blazz copy, format 1"


@dataclass(frozen=True, kw_only=True)
class CopyKey:
    """The key of one copy, and `check`, which says in the clear which key it is without telling anything of it."""

    key: bytes = field(repr=False)
    check: bytes


def keyring_of(settings: ArchiveSettings) -> "Keyring":
    """Return the keyring that the settings describe."""
    return Keyring(settings.keys, accept_plain=settings.accept_plain or not settings.keys)


class Keyring:
    """Named keys of 32 bytes each: the first one seals, every one opens. Without keys nothing is encrypted.

    `accept_plain=False` refuses copies that are not encrypted. Set it only when none of those is needed any more.
    """

    def __init__(self, keys: Mapping[str, bytes], *, accept_plain: bool = True) -> None:
        self._keys = dict(keys)
        self.accept_plain = accept_plain

    @property
    def sealing(self) -> str | None:
        """The id of the key that new copies are sealed with; None when they are not encrypted."""
        return next(iter(self._keys), None)

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._keys

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    def derive(self, key_id: str, salt: bytes) -> CopyKey:
        """Return the key of the copy with this salt.

        Raises:
            ArchiveKeyMissingError: no key of this id.
        """
        if key_id not in self._keys:
            raise ArchiveKeyMissingError(
                "copy is encrypted with a key that is not in ARCHIVE_KEYS",
                hint=f"put the key with the id {key_id!r} back into ARCHIVE_KEYS, behind the newest one",
                key_id=key_id,
            )
        derived = HKDF(SHA256(), _KEY_BYTES + CHECK_BYTES, salt, _PURPOSE).derive(self._keys[key_id])
        return CopyKey(key=derived[:_KEY_BYTES], check=derived[_KEY_BYTES:])

    def open(self, key_id: str, salt: bytes, check: bytes) -> CopyKey:
        """Return the key of the copy with this salt, if it is the one that the copy was sealed with.

        Raises:
            ArchiveKeyMissingError: no key of this id, or another one.
        """
        found = self.derive(key_id, salt)
        if not hmac.compare_digest(found.check, check):
            raise ArchiveKeyMissingError(
                "copy is encrypted with another key than the one that has its id in ARCHIVE_KEYS",
                hint=f"put back the key that had the id {key_id!r} before; a new key needs an id of its own",
                key_id=key_id,
            )
        return found
