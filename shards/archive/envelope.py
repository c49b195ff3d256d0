"""The envelope of an encrypted copy: AES-256-GCM in chunks, by the STREAM construction (Hoang and others, 2015).

    head           see `preface`
    salt           32 bytes, random
    key check      16 bytes, see `keyring`
    digest         the first 8 bytes of the SHA-256 of everything before
    chunks         256 KiB of the copy each, the last one may be shorter, and 16 bytes of tag each

The nonce of a chunk is its number (11 bytes) and 1 for the last chunk, else 0; everything before the chunks is the
associated data of each. So a chunk that is changed, missing, moved, doubled or added is found, and a copy put under
another head is, too. The digest tells damage to the head, which an older copy helps against, from a missing key,
which only a person can help against.
"""

import dataclasses
import hashlib
import secrets
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from daemon.core.errors import ArchiveDamagedError
from shards.archive.keyring import CHECK_BYTES, SALT_BYTES, Keyring
from shards.archive.preface import Head, head_bytes, read_exactly, read_head_bytes
from shards.archive.streams import Sink

MAGIC = b"blazz-e1"
CHUNK_BYTES = 1 << 18
_TAG_BYTES = 16
_DIGEST_BYTES = 8
_COUNTER_BYTES = 11


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """The clear part of an encrypted copy."""

    head: Head
    salt: bytes
    check: bytes

    def to_bytes(self) -> bytes:
        """Return what `read_envelope` reads."""
        content = head_bytes(MAGIC, self.head) + self.salt + self.check
        return content + hashlib.sha256(content).digest()[:_DIGEST_BYTES]


def read_envelope(file: BinaryIO) -> Envelope:
    """Read the clear part of an encrypted copy whose magic has been read already.

    Raises:
        ArchiveDamagedError: not as it was written.
    """
    head = read_head_bytes(file)
    envelope = Envelope(head=head, salt=read_exactly(file, SALT_BYTES), check=read_exactly(file, CHECK_BYTES))
    if head.key_id is None or envelope.to_bytes()[-_DIGEST_BYTES:] != read_exactly(file, _DIGEST_BYTES):
        raise ArchiveDamagedError("head of the encrypted copy is damaged", session_id=head.session_id)
    return envelope


class Enveloping:
    """A sink that encrypts what is written to it into `out`. Without `close` the copy is not complete."""

    def __init__(self, out: Sink, head: Head, keyring: Keyring) -> None:
        """Seal with the keyring's first key; it must have one."""
        assert keyring.sealing is not None
        salt = secrets.token_bytes(SALT_BYTES)
        derived = keyring.derive(keyring.sealing, salt)
        named = dataclasses.replace(head, key_id=keyring.sealing)
        self._clear = Envelope(head=named, salt=salt, check=derived.check).to_bytes()
        self._cipher = AESGCM(derived.key)
        self._out = out
        self._waiting = bytearray()
        self._number = 0
        out.write(self._clear)

    def write(self, content: bytes) -> int:
        """Take more of the copy. A full chunk waits until more comes, as it may be the last one."""
        self._waiting += content
        while len(self._waiting) > CHUNK_BYTES:
            self._put(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(content)

    def flush(self) -> None:
        """Do nothing: a chunk is written when it is full."""

    def close(self) -> None:
        """Write the last chunk, and close what it is written to."""
        self._put(bytes(self._waiting), last=True)
        self._out.close()

    def _put(self, chunk: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._number, last=last), chunk, self._clear))
        self._number += 1


def decrypt(source: BinaryIO, envelope: Envelope, keyring: Keyring, out: BinaryIO) -> None:
    """Write the copy within an envelope to `out`, from where `source` stands to its end.

    Raises:
        ArchiveKeyMissingError: the key is not in the keyring.
        ArchiveDamagedError: not what was sealed; `out` holds what came before the damage.
    """
    head = envelope.head
    assert head.key_id is not None
    cipher = AESGCM(keyring.open(head.key_id, envelope.salt, envelope.check).key)
    clear, number = envelope.to_bytes(), 0
    chunk = source.read(CHUNK_BYTES + _TAG_BYTES)
    while True:
        following = source.read(CHUNK_BYTES + _TAG_BYTES)
        try:
            out.write(cipher.decrypt(_nonce(number, last=not following), chunk, clear))
        except InvalidTag:
            raise ArchiveDamagedError(
                "encrypted copy is damaged or cut short", session_id=head.session_id, key_id=head.key_id
            ) from None
        if not following:
            return
        chunk, number = following, number + 1


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES, "big") + bytes([last])
