"""What time it is in the tenant that a request was sent to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web

TENANT_CLOCK: web.AppKey[Callable[[], datetime]] = web.AppKey("tenant_clock")
"""Where an application keeps its tenant's clock; those mounted in it find it too."""


def now_in_tenant(request: web.Request) -> datetime:
    """Return the time in the tenant, aware; the system's in an application without a clock."""
    clock = request.config_dict.get(TENANT_CLOCK)
    return datetime.now(UTC) if clock is None else clock()
