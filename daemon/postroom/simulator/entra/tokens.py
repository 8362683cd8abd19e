"""Access tokens: real JWTs, signed with a key of this run, and verified again when Graph is called.

Source: Entra access-token-claims-reference docs; Graph's tokens are of version 1.0.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import jwt
from jwt.algorithms import RSAAlgorithm

from postroom.simulator.keys import rsa_key

TOKENS_KNOWN = 1000
"""Tokens whose signature need not be checked again."""

LONG_LIFETIME = 7200
"""Seconds from which on an answer carries `refresh_in`, half the lifetime."""


class BearerRefused(Exception):
    """A call to Graph carries no token, or one that is not valid here; the text says which, never the token."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified access token says."""

    tenant_id: str
    app_id: str
    roles: frozenset[str]
    issued_at: datetime


class TokenSigner:
    """Signs access tokens and reads its own back."""

    def __init__(self) -> None:
        self._verified: dict[tuple[bytes, frozenset[str]], dict[str, Any]] = {}
        self._key = rsa_key("access tokens")
        self.key_id = uuid.uuid4().hex

    def jwk(self) -> dict[str, Any]:
        """Return the public key as published by the discovery keys endpoint (RFC 7517)."""
        jwk = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {**jwk, "use": "sig", "alg": "RS256", "kid": self.key_id}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return the claims as a signed JWT."""
        return jwt.encode(dict(claims), self._key, algorithm="RS256", headers={"kid": self.key_id})

    def read(self, token: str, *, audiences: Collection[str], issuer: str, now: datetime) -> Grant:
        """Verify signature, audience, issuer and time; raises `BearerRefused`."""
        claims = self._claims(token, audiences)
        if claims["iss"] != issuer.format(tid=claims.get("tid")):
            raise BearerRefused("Access token validation failure. Invalid issuer.")
        if not int(claims["nbf"]) <= now.timestamp() < int(claims["exp"]):
            raise BearerRefused("Lifetime validation failed, the token is expired.")
        return Grant(
            claims["tid"],
            claims["appid"],
            frozenset(claims.get("roles", ())),
            datetime.fromtimestamp(int(claims["iat"]), UTC),
        )

    def _claims(self, token: str, audiences: Collection[str]) -> dict[str, Any]:
        """Return the claims of a token that is genuine; a signature is checked once, a client sends it every time."""
        name = (blake2b(token.encode("utf-8", "replace")).digest(), frozenset(audiences))
        claims = self._verified.get(name)
        if claims is None:
            claims = self._verified[name] = self._verify(token, audiences)
            if len(self._verified) > TOKENS_KNOWN:
                del self._verified[next(iter(self._verified))]
        return claims

    def _verify(self, token: str, audiences: Collection[str]) -> dict[str, Any]:
        # The times are compared by the caller, with the simulated clock.
        options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp", "nbf", "iss"]}
        try:
            return jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["RS256"],
                audience=list(audiences),
                options=options,  # type: ignore[arg-type]  # a plain dict, as PyJWT documents
            )
        except jwt.InvalidAudienceError as error:
            raise BearerRefused("Access token validation failure. Invalid audience.") from error
        except jwt.InvalidSignatureError as error:
            raise BearerRefused("Access token validation failure. Invalid signature.") from error
        except (jwt.PyJWTError, ValueError) as error:
            raise BearerRefused("The token is not a well-formed JWT of this tenant.") from error
