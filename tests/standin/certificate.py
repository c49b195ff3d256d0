"""A self-signed certificate for web.whatsapp.com, for browsers that map that name to this machine.

Chromium is told to accept its key by `--ignore-certificate-errors-spki-list`; nothing else ever trusts it.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.standin.devices import write_atomically

NAME = "web.whatsapp.com"
VALID_DAYS = 300


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A loaded TLS context and the key's fingerprint: base64 of the SHA-256 of its SubjectPublicKeyInfo."""

    context: ssl.SSLContext
    spki: str


def load_identity(folder: Path | None) -> Identity:
    """Load the certificate kept in `folder`, made there if missing or expired; None means one for this run only."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="standin-") as temporary:
            return load_identity(Path(temporary))
    path = folder / "standin.pem"
    pem = path.read_bytes() if path.exists() else b""
    if not pem or _expired(pem):
        pem = _make()
        write_atomically(path, pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    public_key = x509.load_pem_x509_certificate(pem).public_key()
    spki = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Identity(context=context, spki=base64.b64encode(hashlib.sha256(spki).digest()).decode())


def _expired(pem: bytes) -> bool:
    end = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    return end < datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)


def _make() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME), x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + private
