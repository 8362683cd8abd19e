"""How long a sign-in may take, and how a host's identity endpoint is asked again."""

from __future__ import annotations

from postroom.tenant import ManagedIdentity, Tenant

IMDS_PAUSES = (0.0, 2.0, 6.0, 14.0, 30.0)
"""Seconds between tries at a host's identity endpoint (how-to-use-vm-token docs)."""


def longest_sign_in(tenant: Tenant, timeout: float) -> float:
    """Return the seconds for discovery and token, each tried twice, or for all tries at a host's identity endpoint.

    Args:
        tenant: Whose credential decides which of the two.
        timeout: Seconds for one connection attempt or one silence.
    """
    if isinstance(tenant.credential, ManagedIdentity):
        return (len(IMDS_PAUSES) + 1) * timeout + sum(IMDS_PAUSES)
    return 4 * timeout
