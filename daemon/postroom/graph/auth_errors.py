"""From what Entra answers to an `AuthError` with cause and remedy. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from postroom.errors import AuthError
from postroom.graph.aadsts import ADVICE, NO_IDENTITY, OAUTH, UNKNOWN
from postroom.graph.text import code_of, one_line
from postroom.tenant import ClientSecret, ManagedIdentity, Tenant

TOO_MANY = 429
"""Too Many Requests; this and the server's own faults above it pass."""

_THROTTLED_REMEDY = (
    "It passes: try again in some minutes (a running daemon does by itself). See what else signs in so often as this "
    "app, or from this host."
)
_DOWN_REMEDY = (
    "It passes: try again in some minutes (a running daemon does by itself). Where it lasts, see whether Microsoft "
    "reports an outage of Entra, and whether a proxy or login portal between here and the login host answers in its "
    "place."
)

UNREACHABLE_REMEDY = "Check name resolution, the route and the proxy between here and the login host."


def auth_error(answer: Mapping[str, Any], tenant: Tenant, *, secret: str = "", status: int = 400) -> AuthError:
    """Return the error that an OAuth error answer stands for.

    Args:
        answer: ``error``, ``error_description``, ``error_codes``, ``trace_id``, ``correlation_id``; all optional.
        tenant: Whose sign-in failed.
        secret: Removed from Entra's text, should it ever repeat it.
        status: HTTP status it came with; a server error or 429 passes, whatever the code.
    """
    number = _number(answer)
    oauth = code_of(answer.get("error"))
    local = isinstance(tenant.credential, ManagedIdentity) and not number
    if status >= TOO_MANY and not number and oauth not in OAUTH:
        return no_answer(tenant, status)
    advice = NO_IDENTITY if local else ADVICE.get(number) or OAUTH.get(oauth) or UNKNOWN
    code = f"AADSTS{number}" if number else oauth or "refused"
    return AuthError(
        f"Sign-in to tenant {tenant.name} failed with {code}: {advice.cause}.{_quoted(answer, tenant, secret)}",
        code=code,
        remedy=advice.remedy,
        temporary=advice.temporary or status >= TOO_MANY,
        trace_id=code_of(answer.get("trace_id")),
        correlation_id=code_of(answer.get("correlation_id")) or None,
        tenant=tenant.name,
    )


def no_answer(tenant: Tenant, status: int) -> AuthError:
    """Return the error for a status by which the login host, or what stands before it, declines to answer for now."""
    local = isinstance(tenant.credential, ManagedIdentity)
    who = "this host's identity endpoint" if local else "the login host"
    if status == TOO_MANY:
        return unreachable(tenant, f"{who} answered 429, too many requests", _THROTTLED_REMEDY)
    return unreachable(tenant, f"{who} answered {status}", _DOWN_REMEDY)


def unreachable(tenant: Tenant, what: str, remedy: str, *, temporary: bool = True) -> AuthError:
    """Return the error for a login host that could not be reached or did not answer as Entra does."""
    return AuthError(
        f"Sign-in to tenant {tenant.name} failed: {what}.",
        code="unreachable",
        remedy=remedy,
        temporary=temporary,
        tenant=tenant.name,
    )


def _number(answer: Mapping[str, Any]) -> int:
    """Return the AADSTS number, which some answers have in the text alone; 0 when there is none."""
    codes = answer.get("error_codes")
    text = re.search(r"AADSTS(\d{4,9})", str(answer.get("error_description") or ""))
    numbers = [*(codes if isinstance(codes, list) else []), *([int(text[1])] if text else [])]
    known = [each for each in numbers if each in ADVICE]
    return next((each for each in [*known, *numbers] if isinstance(each, int)), 0)


def _quoted(answer: Mapping[str, Any], tenant: Tenant, secret: str) -> str:
    """Return the first line of Entra's own words, without ids, tokens and secrets."""
    lines = str(answer.get("error_description") or "").strip().splitlines()
    text = re.split(r"\s+Trace ID:", lines[0])[0] if lines else ""
    given = tenant.credential.secret.value if isinstance(tenant.credential, ClientSecret) else ""
    for hidden in filter(None, (secret, given)):
        text = text.replace(hidden, "[secret]")
    line = one_line(text)
    return f" Entra says: {line}" if line else ""
