"""From whatever sign-in raises to an `AuthError`: the border to MSAL's three families of exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

from postroom.errors import AuthError
from postroom.graph.auth_errors import TOO_MANY, UNREACHABLE_REMEDY, auth_error, no_answer, unreachable
from postroom.graph.login_http import NotEntra
from postroom.tenant import Tenant

_CA_REMEDY = "Name the authority of the login host, or of the proxy that inspects TLS, as the cloud's ca_file."
_PORTAL_REMEDY = "Look for a proxy or login portal between here and the login host."


def login_fault(
    error: Exception, last: tuple[int, Mapping[str, Any]], tenant: Tenant, *, secret: str = ""
) -> AuthError:
    """Return the error that stands for an exception during sign-in.

    Args:
        error: Of the HTTP client, or of MSAL, which reports of some answers no more than the status.
        last: Status and JSON of the last answer: Entra's own words, where there are any.
        tenant: Whose sign-in failed.
        secret: Removed from Entra's text.
    """
    match error:
        case requests.exceptions.SSLError():
            return unreachable(tenant, "the login host's certificate is not trusted", _CA_REMEDY, temporary=False)
        case NotEntra():
            not_entra = unreachable(tenant, f"the answer is not Entra's ({error})", _PORTAL_REMEDY)
            return no_answer(tenant, last[0]) if last[0] >= TOO_MANY else not_entra
        case requests.exceptions.RequestException():
            return unreachable(tenant, f"no connection to the login host ({type(error).__name__})", UNREACHABLE_REMEDY)
        case OSError():
            return unreachable(tenant, f"a file cannot be read ({error})", "Mend the cloud's ca_file.", temporary=False)
    status, answer = last
    if not answer.get("error"):
        what = f"the login host answered {status}" if status else "nothing came of it"
        return unreachable(tenant, f"{what} ({type(error).__name__})", UNREACHABLE_REMEDY)
    return auth_error(answer, tenant, secret=secret, status=status)
