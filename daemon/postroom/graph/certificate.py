"""A certificate with its private key out of a file, PEM or PFX; `credentials` says what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key with its certificate, followed by the rest of the chain where the file has it."""

    key: RSAPrivateKey
    chain: tuple[x509.Certificate, ...]


def key_pair(content: bytes, phrase: str) -> KeyPair:
    """Read a file's content; raises ValueError, or TypeError where the passphrase and the file do not go together."""
    return _pem(content, phrase) if b"-----BEGIN" in content else _pfx(content, phrase)


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
