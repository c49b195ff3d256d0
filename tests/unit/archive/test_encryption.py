"""Encrypted copies: which keys open them, and that nothing in them can be moved, joined or passed off as another."""

import base64
import os
from io import BytesIO
from pathlib import Path

import pytest

from daemon.core.errors import ArchiveDamagedError, ArchiveKeyMissingError, ArchiveNotEncryptedError
from shards.archive.bounds import Expected
from shards.archive.envelope import CHUNK_BYTES, Enveloping, decrypt, read_envelope
from shards.archive.head import read_head
from shards.archive.keyring import Keyring
from shards.archive.preface import MAGIC_BYTES, Head
from shards.archive.streams import Limited
from tests.unit.archive.conftest import ANY, FILES, KEYS, PLAIN, Form, content_of

K1, K2 = b"1" * 32, b"2" * 32
SECRETS = [K1, K2, base64.b64encode(K1), base64.b64encode(K2), K1.hex().encode(), K2.hex().encode()]


@pytest.fixture(params=["sealed-zip", "sealed-hot"])
def sealed(request: pytest.FixtureRequest, tmp_path: Path) -> Form:
    return Form(request.param, tmp_path)


@pytest.fixture
def body(sealed: Form, snapshot_dir: Path) -> bytes:
    return sealed.pack(snapshot_dir)


def clear_bytes(body: bytes) -> int:
    """Return where the chunks begin."""
    file = BytesIO(body[MAGIC_BYTES:])
    read_envelope(file)
    return MAGIC_BYTES + file.tell()


def enveloped(content: bytes, *, pieces_of: int) -> bytes:
    kept = Limited(10**7)
    envelope = Enveloping(kept, Head(kind="hot", session_id="s-1", token=3, generation=4, key_id=None), KEYS)
    for at in range(0, len(content), pieces_of):
        envelope.write(content[at : at + pieces_of])
    envelope.close()
    return kept.content


def opened(body: bytes) -> bytes:
    source, out = BytesIO(body[MAGIC_BYTES:]), BytesIO()
    decrypt(source, read_envelope(source), KEYS, out)
    return out.getvalue()


def test_nothing_of_the_content_can_be_read(body: bytes) -> None:
    for word in (b"IndexedDB", b"MANIFEST", b"table", b"PK\3\4", b"blazz-h1", b"profile/", *SECRETS):
        assert word not in body


def test_the_first_key_seals_and_every_key_opens(sealed: Form, snapshot_dir: Path, tmp_path: Path) -> None:
    old = sealed.pack(snapshot_dir, keyring=Keyring({"k1": K1}))
    new = sealed.pack(snapshot_dir, keyring=Keyring({"k2": K2, "k1": K1}))
    assert (read_head(old).key_id, read_head(new).key_id) == ("k1", "k2")
    for copy in (old, new):
        sealed.unpack(copy, tmp_path / "out", keyring=Keyring({"k2": K2, "k1": K1}))
        assert content_of(tmp_path / "out") == FILES


@pytest.mark.parametrize("keys", [{}, {"k1": K1}, {"k2": K1}, {"K2": K2}], ids=["none", "old", "wrong", "other-id"])
def test_without_the_right_key_the_error_names_the_id_and_no_key(
    sealed: Form, body: bytes, tmp_path: Path, keys: dict[str, bytes]
) -> None:
    with pytest.raises(ArchiveKeyMissingError) as raised:
        sealed.unpack(body, tmp_path / "out", keyring=Keyring(keys))
    told = f"{raised.value} {raised.value.hint} {raised.value.ids} {Keyring(keys)!r}"
    assert "'k2'" in raised.value.hint
    assert not any(secret.decode("latin-1") in told for secret in SECRETS)
    assert not (tmp_path / "out").exists()


def test_a_copy_of_another_session_needs_no_key_to_be_refused(sealed: Form, body: bytes, tmp_path: Path) -> None:
    with pytest.raises(ArchiveDamagedError):
        sealed.unpack(body, tmp_path / "out", keyring=PLAIN, expected=Expected(session_id="s-2"))


@pytest.mark.parametrize("changes", [{"session_id": "s-2"}, {"token": 9}, {"generation": 9}])
def test_a_copy_cannot_be_given_the_head_of_another(
    sealed: Form, body: bytes, snapshot_dir: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    """Even with a head that is whole and of the same key, as only a forger would write it."""
    other = sealed.pack(snapshot_dir, **changes)
    with pytest.raises(ArchiveDamagedError):
        sealed.unpack(other[: clear_bytes(other)] + body[clear_bytes(body) :], tmp_path / "out", expected=ANY)


def test_a_hot_copy_is_not_taken_for_an_archive_of_the_same_order(snapshot_dir: Path, tmp_path: Path) -> None:
    hot, archive = (Form(name, tmp_path).pack(snapshot_dir) for name in ("sealed-hot", "sealed-zip"))
    with pytest.raises(ArchiveDamagedError):
        Form("sealed-zip", tmp_path).unpack(archive[: clear_bytes(archive)] + hot[clear_bytes(hot) :], tmp_path / "out")


def test_the_same_snapshot_is_never_encrypted_twice_alike(sealed: Form, body: bytes, snapshot_dir: Path) -> None:
    again = sealed.pack(snapshot_dir)
    begins = clear_bytes(body)
    assert again[begins : begins + 32] != body[begins : begins + 32]


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 1]
)
def test_chunks_cannot_be_left_out_moved_doubled_or_added(size: int) -> None:
    content = os.urandom(size)
    body = enveloped(content, pieces_of=100_000)
    assert opened(body) == content
    step, begins = CHUNK_BYTES + 16, clear_bytes(body)
    clear, chunks = body[:begins], [body[at : at + step] for at in range(begins, len(body), step)]
    for wrong in (
        chunks[:-1], chunks[1:], [*chunks, chunks[-1]], [*chunks, chunks[0]], [chunks[-1], *chunks], [],
        *([chunks[::-1], [chunks[1], chunks[0], *chunks[2:]]] if len(chunks) > 1 else []),
    ):  # fmt: skip
        with pytest.raises(ArchiveDamagedError):
            opened(clear + b"".join(wrong))


def test_a_plain_copy_opens_with_keys_unless_plain_ones_are_not_accepted(
    sealed: Form, body: bytes, snapshot_dir: Path, tmp_path: Path
) -> None:
    strict = Keyring({"k2": K2}, accept_plain=False)
    plain = sealed.pack(snapshot_dir, keyring=PLAIN)
    sealed.unpack(plain, tmp_path / "out", keyring=KEYS)
    sealed.unpack(body, tmp_path / "out", keyring=strict)
    with pytest.raises(ArchiveNotEncryptedError, match="not encrypted"):
        sealed.unpack(plain, tmp_path / "out", keyring=strict)


def test_keys_do_not_show_themselves() -> None:
    assert repr(KEYS) == "Keyring(k2, k1)"
    assert repr(KEYS.derive("k1", b"s" * 32)).count("b'") == 1, "only the key check, which is no secret"
    assert KEYS.sealing == "k2" and PLAIN.sealing is None and "k1" in KEYS and "k3" not in KEYS
