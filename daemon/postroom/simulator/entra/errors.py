"""Refusals of the simulated Entra: AADSTS numbers, OAuth error names and the JSON around them.

Source: Entra reference-error-codes docs and v2-oauth2-client-creds-grant-flow; the numbers are Microsoft's, the
sentences ours. `invalid_client` answers with 401, everything else with 400, as the live service does.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a class of refusals looks on the wire: HTTP status, OAuth error name and the sentence."""

    status: int
    error: str
    text: str


REFUSALS: dict[int, Refusal] = {
    50027: Refusal(400, "invalid_request", "The client assertion is not a well-formed JWT."),
    50033: Refusal(503, "temporarily_unavailable", "A retryable error occurred. Try again."),
    50049: Refusal(400, "invalid_instance", "'{value}' is not an instance this service knows."),
    50059: Refusal(400, "invalid_request", "Nothing in the request tells which tenant is meant; name one in the URL."),
    50196: Refusal(400, "invalid_grant", "The server ended the operation: the client asks the same in a loop."),
    53003: Refusal(400, "invalid_grant", "Access has been blocked by Conditional Access policies."),
    70002: Refusal(
        401, "invalid_client", "The client is not supported for this feature: the simulated tenant signs in apps only."
    ),
    70003: Refusal(400, "unsupported_grant_type", "The grant type '{value}' is not supported."),
    70011: Refusal(400, "invalid_scope", "The value '{value}' of 'scope' is not valid."),
    70025: Refusal(401, "invalid_client", "The application '{value}' has no federated identity credentials."),
    90002: Refusal(400, "invalid_request", "Tenant '{value}' not found. Check the tenant ID and the cloud."),
    90015: Refusal(400, "invalid_request", "The query string, or a header, is too long."),
    90033: Refusal(503, "temporarily_unavailable", "A transient error has occurred. Try again."),
    90055: Refusal(429, "temporarily_unavailable", "The tenant sends too many requests and is throttled."),
    500011: Refusal(400, "invalid_resource", "The resource principal named {value} was not found in the tenant."),
    500113: Refusal(
        400,
        "invalid_request",
        "No reply address is registered for the application: the simulated tenant signs in apps only, by a POST of "
        "their own credentials to the token endpoint.",
    ),
    700016: Refusal(400, "unauthorized_client", "Application with identifier '{value}' was not found in the tenant."),
    700021: Refusal(401, "invalid_client", "The issuer or subject of the client assertion is not the 'client_id'."),
    700023: Refusal(401, "invalid_client", "The client assertion is meant for '{value}', not for this token endpoint."),
    700024: Refusal(401, "invalid_client", "Client assertion is not within its valid time range. {value}"),
    700027: Refusal(401, "invalid_client", "Client assertion contains an invalid signature. [Reason - {value}]"),
    700211: Refusal(401, "invalid_client", "No federated identity credential matches the issuer '{value}'."),
    700212: Refusal(401, "invalid_client", "No federated identity credential matches the audience '{value}'."),
    700213: Refusal(401, "invalid_client", "No federated identity credential matches the subject '{value}'."),
    900023: Refusal(400, "invalid_request", "The tenant identifier '{value}' is neither a GUID nor a domain name."),
    900144: Refusal(400, "invalid_request", "The request body must contain the parameter '{value}'."),
    900561: Refusal(400, "invalid_request", "The endpoint only accepts POST requests. Received a {value} request."),
    1002012: Refusal(400, "invalid_scope", "The scope '{value}' is not valid: client credentials ask for '/.default'."),
    7000112: Refusal(400, "unauthorized_client", "Application '{value}' is disabled."),
    7000215: Refusal(401, "invalid_client", "Invalid client secret provided for app '{value}'; send its value, no ID."),
    7000218: Refusal(
        401, "invalid_client", "The request body must contain 'client_assertion' (a JWT bearer) or 'client_secret'."
    ),
    7000222: Refusal(401, "invalid_client", "The client secret keys provided for app '{value}' are expired."),
    9002313: Refusal(
        404,
        "invalid_request",
        "The request is invalid: there is nothing at '{value}'. The simulated tenant has the "
        "v2.0 token endpoint, discovery and keys.",
    ),
}
"""Every refusal the simulated Entra knows, by AADSTS number."""


class EntraError(Exception):
    """A sign-in is refused.

    Args:
        code: The AADSTS number; one of `REFUSALS`.
        value: What the sentence names: the tenant, the app, the scope. Never a secret.
        error: The OAuth error name, where one place differs from the table (``invalid_tenant`` on discovery).
    """

    def __init__(self, code: int, value: str = "", *, error: str = "") -> None:
        refusal = REFUSALS[code]
        self.code = code
        self.status = refusal.status
        self.error = error or refusal.error
        self.text = f"AADSTS{code}: {refusal.text.format(value=value[:200])}"
        super().__init__(self.text)

    def body(self, now: datetime, *, host: str, correlation_id: str = "") -> dict[str, Any]:
        """Return the JSON of the answer, with fresh trace and correlation ids."""
        trace = str(uuid.uuid4())
        correlation = correlation_id or str(uuid.uuid4())
        stamp = now.strftime("%Y-%m-%d %H:%M:%SZ")
        tail = f"Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
        return {
            "error": self.error,
            "error_description": f"{self.text} {tail}",
            "error_codes": [self.code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"{host}/error?code={self.code}",
        }
