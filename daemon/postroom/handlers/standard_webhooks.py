"""Signatures as in the Standard Webhooks specification 1.0.0."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
SHORTEST_KEY, LONGEST_KEY = 24, 64
"""Bytes of a key, as the specification wants them of ``whsec_`` secrets."""


def webhook_id(idempotency_key: str) -> str:
    """Return the `webhook-id`: the same for every attempt, free of the full stop that separates what is signed."""
    return f"msg_{hashlib.sha256(idempotency_key.encode()).hexdigest()[:32]}"


def key(secret: str) -> bytes:
    """Return the signing key: base64 after ``whsec_``, otherwise the text itself; raises ValueError."""
    if not secret.startswith(PREFIX):
        if not secret:
            raise ValueError("the secret is empty")
        return secret.encode()
    try:
        decoded = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"what follows {PREFIX} in the secret is not base64") from None
    if not SHORTEST_KEY <= len(decoded) <= LONGEST_KEY:
        raise ValueError(f"the secret holds {len(decoded)} bytes, not {SHORTEST_KEY} to {LONGEST_KEY}")
    return decoded


def keys(text: str) -> tuple[bytes, ...]:
    """Return the keys of a secret: one a line, so that the old and the new one sign while a secret is changed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return tuple(key(line) for line in lines or [""])


def sign(signing_keys: Sequence[bytes], identifier: str, timestamp: int, payload: bytes) -> dict[str, str]:
    """Return the three headers for `payload`; without keys there is no signature."""
    content = f"{identifier}.{timestamp}.".encode() + payload
    headers = {"webhook-id": identifier, "webhook-timestamp": str(timestamp)}
    if signing_keys:
        digests = [hmac.digest(signing_key, content, "sha256") for signing_key in signing_keys]
        headers["webhook-signature"] = " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
    return headers
