"""A foreign issuer of tokens, as a Kubernetes cluster is one: for sign-in by federated credential."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from postroom.simulator.entra.directory import EXCHANGE_AUDIENCE, FederatedCredential
from postroom.simulator.keys import rsa_key


class Federation:
    """An issuer with a signing key; Entra is told its public half out of band, as by OIDC discovery.

    Args:
        issuer: Its ``iss``; compared to the letter.
    """

    def __init__(self, issuer: str, *, key: rsa.RSAPrivateKey | None = None) -> None:
        self.issuer = issuer
        self.key_id = uuid.uuid4().hex
        self._key = key or rsa_key("federation")

    @property
    def public_key(self) -> rsa.RSAPublicKey:
        """The key that verifies its tokens."""
        return self._key.public_key()

    def credential(self, subject: str, audience: str = EXCHANGE_AUDIENCE) -> FederatedCredential:
        """Return what an app registration needs to trust `subject` of this issuer."""
        return FederatedCredential(self.issuer, subject, audience)

    def token(self, subject: str, *, now: datetime, lifetime: timedelta = timedelta(hours=1), **claims: Any) -> str:
        """Sign a token for `subject`; `claims` replace or add to the usual ones."""
        issued = int(now.timestamp())
        payload = {
            "iss": self.issuer,
            "sub": subject,
            "aud": EXCHANGE_AUDIENCE,
            "iat": issued,
            "nbf": issued,
            "exp": int((now + lifetime).timestamp()),
            "jti": str(uuid.uuid4()),
            **claims,
        }
        return jwt.encode(payload, self._key, algorithm="RS256", headers={"kid": self.key_id})
