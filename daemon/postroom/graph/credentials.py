"""The app's credential read from its files, at each use, with an AuthError that says what is wrong with them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from postroom.errors import AuthError
from postroom.tenant import Certificate, ClientSecret, FederatedToken, Secret, Tenant

_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key with its certificate, followed by the rest of the chain where the file has it."""

    key: RSAPrivateKey
    chain: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class Material:
    """What a credential comes to now. `digest` changes when its files do; secret and pair are None where unused."""

    digest: bytes
    secret: str | None = None
    pair: KeyPair | None = None


def read_credential(tenant: Tenant) -> Material:
    """Read the credential's files; raises AuthError. A federated token is left for `read_assertion`."""
    match tenant.credential:
        case ClientSecret(secret):
            text = _secret(tenant, secret, "client secret")
            return Material(hashlib.sha256(text.encode()).digest(), secret=text)
        case Certificate() as certificate:
            return _certificate(tenant, certificate)
        case _:
            return Material(b"")


def read_assertion(tenant: Tenant, federated: FederatedToken) -> str:
    """Read the federated token, which its issuer rotates; raises AuthError."""
    return _secret(tenant, Secret(file=federated.file), "federated token")


def _certificate(tenant: Tenant, certificate: Certificate) -> Material:
    try:
        content = certificate.file.read_bytes()
    except OSError as error:
        raise _bad(tenant, f"certificate file {certificate.file} cannot be read: {error.strerror}") from error
    phrase = _secret(tenant, certificate.passphrase, "passphrase") if certificate.passphrase else ""
    try:
        pair = _pem(content, phrase) if b"-----BEGIN" in content else _pfx(content, phrase)
    except (ValueError, TypeError) as error:
        raise _bad(tenant, f"certificate file {certificate.file} cannot be used: {_reason(error)}") from error
    return Material(hashlib.sha256(content + b"\0" + phrase.encode()).digest(), pair=pair)


def _pem(content: bytes, phrase: str) -> KeyPair:
    block = _KEY.search(content)
    if block is None:
        raise ValueError("it holds no private key")
    encrypted = b"ENCRYPTED" in block[0]
    key = load_pem_private_key(block[0], phrase.encode() if encrypted and phrase else None)
    return _pair(key, x509.load_pem_x509_certificates(content))


def _pfx(content: bytes, phrase: str) -> KeyPair:
    key, certificate, others = pkcs12.load_key_and_certificates(content, phrase.encode() or None)
    return _pair(key, [*([certificate] if certificate else []), *others])


def _pair(key: object, certificates: list[x509.Certificate]) -> KeyPair:
    """Put the key's own certificate first, whatever the order in the file: Entra takes the first for the app's."""
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("it holds no RSA private key, the only kind Entra takes")  # noqa: TRY004 - the file's fault
    public = key.public_key()
    own = [each for each in certificates if each.public_key() == public]
    if not own:
        raise ValueError("it holds no certificate that belongs to its private key")
    return KeyPair(key, (own[0], *(each for each in certificates if each != own[0])))


def _secret(tenant: Tenant, secret: Secret, what: str) -> str:
    try:
        text = secret.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise _bad(tenant, f"{what} file {secret.file} cannot be read: {reason}") from error
    if not text:
        raise _bad(tenant, f"{what}{_in(secret.file)} is empty")
    return text


def _in(file: Path | None) -> str:
    return f" file {file}" if file is not None else ""


def _reason(error: Exception) -> str:
    """Say what was wrong in an operator's words, not in cryptography's."""
    text = str(error)
    if text.startswith("it "):
        return text
    if isinstance(error, TypeError) or "password" in text.lower() or "decrypt" in text.lower():
        return "its passphrase is wrong or missing"
    return "it is neither PEM nor PFX, or it is damaged"


def _bad(tenant: Tenant, what: str) -> AuthError:
    return AuthError(
        f"Sign-in to tenant {tenant.name} failed: the {what}.",
        code="credential",
        remedy="Give the daemon's user read access to a valid file, or correct its path in the configuration.",
        tenant=tenant.name,
    )
