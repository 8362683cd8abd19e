"""The app's credential read from its files, at each use, with an AuthError that says what is wrong with them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from postroom.errors import AuthError
from postroom.tenant import Certificate, ClientSecret, FederatedToken, Secret, Tenant

if TYPE_CHECKING:
    from postroom.graph.certificate import KeyPair


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
    from postroom.graph.certificate import key_pair  # noqa: PLC0415 - cryptography: 9 MiB that a secret does without

    try:
        content = certificate.file.read_bytes()
    except OSError as error:
        raise _bad(tenant, f"certificate file {certificate.file} cannot be read: {error.strerror}") from error
    phrase = _secret(tenant, certificate.passphrase, "passphrase") if certificate.passphrase else ""
    try:
        pair = key_pair(content, phrase)
    except (ValueError, TypeError) as error:
        raise _bad(tenant, f"certificate file {certificate.file} cannot be used: {_reason(error)}") from error
    return Material(hashlib.sha256(content + b"\0" + phrase.encode()).digest(), pair=pair)


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
        remedy="Give Postroom's user read access to a valid file, or correct its path in the configuration.",
        tenant=tenant.name,
    )
