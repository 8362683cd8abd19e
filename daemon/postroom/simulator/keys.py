"""RSA key pairs of this process: new in each, shared by its simulated tenants."""

from __future__ import annotations

import functools

from cryptography.hazmat.primitives.asymmetric import rsa


@functools.cache
def rsa_key(use: str) -> rsa.RSAPrivateKey:  # noqa: ARG001 - the cache tells uses apart by it
    """Return the 2048-bit key for a use, such as ``access tokens``; made at the first call.

    Making one takes a tenth of a second, and a test run starts hundreds of tenants: what tells them apart are issuers,
    thumbprints and ids, which are never shared.
    """
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
