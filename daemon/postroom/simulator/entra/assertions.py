"""Judges a client assertion: one signed with the app's certificate, or a foreign one trusted by federation.

Source: Entra certificate-credentials and workload-identity-federation docs. Every refusal is an `EntraError`.
"""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa

from postroom.simulator.entra.directory import App, FederatedCredential
from postroom.simulator.entra.errors import EntraError

CLOCK_SKEW = timedelta(minutes=5)
"""How far a client's clock may be off."""

LONGEST_CHAIN = 10
"""Certificates in an `x5c` header."""

_ALGORITHMS = ("PS256", "RS256")
_UNCHECKED = {
    "verify_signature": False,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
}


@dataclass(frozen=True, slots=True)
class Assertion:
    """A client assertion taken apart, nothing in it believed yet."""

    token: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @property
    def by_certificate(self) -> bool:
        """Whether it names a certificate, or claims to be the app's own: anything else is a foreign token."""
        return "x5t#S256" in self.header or "x5t" in self.header

    def claim(self, name: str) -> str:
        """Return a claim that is text; empty when it is missing or something else."""
        value = self.claims.get(name)
        return value if isinstance(value, str) else ""


def read_assertion(token: str) -> Assertion:
    """Take a JWT apart; raises `EntraError` 50027 when it is none."""
    try:
        # Read first, verified by check_certificate or check_federated: the claims say which key to verify with.
        claims = jwt.decode(token, options=_UNCHECKED)  # type: ignore[arg-type]  # a plain dict, as PyJWT documents
        return Assertion(token, jwt.get_unverified_header(token), claims)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise EntraError(50027) from error


def check_certificate(assertion: Assertion, app: App, *, audiences: Collection[str], now: datetime) -> None:
    """Accept an assertion that a registered certificate of `app` signed for this token endpoint, or raise."""
    certificate = app.certificate(
        sha256=_thumbprint(assertion.header.get("x5t#S256")), sha1=_thumbprint(assertion.header.get("x5t"))
    )
    if certificate is None:
        raise EntraError(700027, "The key was not found.")
    _check_chain(assertion.header.get("x5c"), certificate)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise EntraError(700027, "The key used is expired.")
    _check_signature(assertion, _public_key(certificate))
    if not assertion.claim("iss").lower() == assertion.claim("sub").lower() == app.client_id.lower():
        raise EntraError(700021)
    if assertion.claim("aud") not in audiences:
        raise EntraError(700023, assertion.claim("aud"))
    _check_times(assertion, now)


def check_federated(assertion: Assertion, app: App, *, issuers: Mapping[str, rsa.RSAPublicKey], now: datetime) -> None:
    """Accept a foreign token that matches a federated credential of `app` in every field, or raise."""
    if not app.federated:
        raise EntraError(70025, app.client_id)
    _match(assertion, app.federated)
    key = issuers.get(assertion.claim("iss"))
    if key is None:
        raise EntraError(700027, "The key was not found.")
    _check_signature(assertion, key)
    _check_times(assertion, now)


def _match(assertion: Assertion, credentials: Collection[FederatedCredential]) -> None:
    """Narrow the credentials by issuer, then audience, then subject; the first that leaves none says which is wrong."""
    issuer, audience, subject = (assertion.claim(name) for name in ("iss", "aud", "sub"))
    left = [credential for credential in credentials if credential.issuer == issuer]
    if not left:
        raise EntraError(700211, issuer)
    left = [credential for credential in left if credential.audience == audience]
    if not left:
        raise EntraError(700212, audience)
    if not any(credential.subject == subject for credential in left):
        raise EntraError(700213, subject)


def _check_chain(chain: object, leaf: x509.Certificate) -> None:
    """Accept an `x5c` header whose first certificate is the one named by thumbprint, and each next issued the last."""
    if chain is None:
        return
    if not isinstance(chain, list) or not chain or len(chain) > LONGEST_CHAIN:
        raise EntraError(50027)
    certificates = [_certificate(each) for each in chain]
    if certificates[0] != leaf:
        raise EntraError(700027, "The first certificate of x5c is not the one the thumbprint names.")
    for lower, upper in itertools.pairwise(certificates):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise EntraError(700027, "The certificates of x5c are not a chain.") from error


def _certificate(text: object) -> x509.Certificate:
    """Read a certificate of `x5c`; clients leave the line breaks of its PEM in, and the live service takes them."""
    plain = "".join(text.split()) if isinstance(text, str) else ""
    try:
        return x509.load_der_x509_certificate(base64.b64decode(plain, validate=True))
    except ValueError as error:
        raise EntraError(50027) from error


def _check_signature(assertion: Assertion, key: rsa.RSAPublicKey) -> None:
    try:
        jwt.decode(assertion.token, key, algorithms=_ALGORITHMS, options={**_UNCHECKED, "verify_signature": True})  # type: ignore[arg-type]  # a plain dict, as PyJWT documents
    except jwt.PyJWTError as error:
        raise EntraError(700027, "The signature does not match the key.") from error


def _check_times(assertion: Assertion, now: datetime) -> None:
    start, end = _instant(assertion.claims.get("nbf", 0)), _instant(assertion.claims.get("exp"))
    if not start - CLOCK_SKEW <= now <= end + CLOCK_SKEW:
        raise EntraError(
            700024, f"Current time: {now.isoformat()}, valid from {start.isoformat()}, to {end.isoformat()}."
        )


def _instant(value: object) -> datetime:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise EntraError(50027)
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise EntraError(50027) from error


def _thumbprint(value: object) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError) as error:
        raise EntraError(50027) from error


def _public_key(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise EntraError(700027, "The key is not an RSA key.")
    return key
