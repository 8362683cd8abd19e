"""Certificates made at start: an authority, a server certificate for loopback, and the app registration's own.

Nothing here outlives the simulated tenant's directory, and no private key is readable by anybody else.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from postroom.simulator.keys import rsa_key

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_VALID_FOR = timedelta(days=365)
_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority: its own certificate, and the key that signs others."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        """Return the certificate to trust, PEM; this is what `ca_file` holds."""
        return _pem(self.certificate)

    def server_pem(self, names: Iterable[str]) -> bytes:
        """Issue a server certificate for host names and addresses; PEM with key, leaf and authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder("Postroom simulated tenant", self.certificate.subject, key.public_key(), datetime.now(UTC))
        certificate = (
            builder.add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_issued_by(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return _key_pem(key) + _pem(certificate) + self.pem()


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The certificate an app registration signs in with, and its private key (RSA 2048, self-signed)."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    def pem(self) -> bytes:
        """Return key and certificate as one PEM text, without a passphrase."""
        return _key_pem(self.key) + _pem(self.certificate)

    def pfx(self, passphrase: str) -> bytes:
        """Return key and certificate as PKCS #12, locked with `passphrase`."""
        lock = serialization.BestAvailableEncryption(passphrase.encode())
        return pkcs12.serialize_key_and_certificates(b"postroom", self.key, self.certificate, None, lock)


def make_authority() -> Authority:
    """Make a new certificate authority (P-256, one year)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = "Postroom simulated tenant CA"
    certificate = (
        _builder(name, _name(name), key.public_key(), datetime.now(UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_ca_usage(), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def make_client_certificate(common_name: str, now: datetime, key: rsa.RSAPrivateKey | None = None) -> ClientCertificate:
    """Make a self-signed certificate for an app registration, good for a year from `now`.

    Entra takes self-signed ones: it compares thumbprints.
    """
    key = key or rsa_key("app registration")
    certificate = _builder(common_name, _name(common_name), key.public_key(), now).sign(key, hashes.SHA256())
    return ClientCertificate(certificate, key)


def write_private(path: Path, data: bytes) -> Path:
    """Write a file that only its owner can read, replacing one that is there; returns `path`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
    return path


def server_context(pem_file: Path) -> ssl.SSLContext:
    """Return the context a TLS server needs, from what `Authority.server_pem` made; TLS 1.2 or later, as Graph."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pem_file)
    return context


def _builder(
    name: str, issuer: x509.Name, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _VALID_FOR)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _issued_by(key: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
