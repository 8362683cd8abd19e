"""The signed assertion by which a certificate proves the app (certificate-credentials docs). Pure but for its id."""

from __future__ import annotations

import base64
import uuid
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from postroom.graph.certificate import KeyPair

LIFETIME = 600
"""Seconds an assertion is valid; 5 to 10 minutes are recommended."""


def certificate_assertion(pair: KeyPair, client_id: str, audience: str, now: datetime, *, send_chain: bool) -> str:
    """Return a JWT signed with PS256 that names the certificate by its SHA-256 thumbprint.

    Args:
        pair: Key and certificates, the app's own first.
        client_id: Issuer and subject.
        audience: The tenant's v2.0 token endpoint.
        now: Time of issue.
        send_chain: Send the certificates along (x5c), for registrations by subject name and issuer.
    """
    issued = int(now.timestamp())
    claims = {
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": str(uuid.uuid4()),
        "nbf": issued,
        "iat": issued,
        "exp": issued + LIFETIME,
    }
    headers: dict[str, Any] = {"x5t#S256": _base64url(pair.chain[0].fingerprint(SHA256()))}
    if send_chain:
        headers["x5c"] = [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in pair.chain]
    return jwt.encode(claims, pair.key, algorithm="PS256", headers=headers)


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
