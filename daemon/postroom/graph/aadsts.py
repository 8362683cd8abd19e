"""Entra's error codes in plain words, with what to do: a table, no decisions.

Source: Entra's reference of error codes (reference-error-codes docs). Microsoft may change the numbers, so a code that
is not here falls back to the OAuth error.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """The cause in plain words, the remedy, and whether waiting may help."""

    cause: str
    remedy: str
    temporary: bool = False


_NOT_IN_TENANT = Advice(
    "the app does not exist in this tenant",
    "Check client_id and tenant_id; the app must be registered in, or consented to by, this tenant.",
)
_APP_DISABLED = Advice(
    "the app is disabled in this tenant", "Enable sign-in for it under Enterprise applications in the Entra portal."
)
_NO_TENANT = Advice(
    "the tenant id is missing or malformed", "Set tenant_id to the tenant's GUID or one of its verified domains."
)
_CERTIFICATE = Advice(
    "Entra does not accept the certificate",
    "Upload this very certificate to the app registration, and check that it has not expired.",
)
_NOT_FEDERABLE = Advice(
    "the federated token was issued by Entra in a form that cannot prove an app",
    "Use a token of the workload's own issuer, or of a managed identity, made for api://AzureADTokenExchange.",
)
_RESOURCE = Advice(
    "Graph's address is not known as a resource in this tenant or cloud",
    "Check that cloud (or its graph URL) is the one the tenant is in.",
)
_SCOPE = Advice(
    "the scope is not one that an app may ask for", "Use {graph}/.default, which is what Postroom does by itself."
)
_CONSENT = Advice(
    "an administrator has not consented to the app's permissions",
    "Grant admin consent under API permissions of the app registration.",
)
_POLICY = Advice(
    "a Conditional Access or security policy for workload identities blocks the app",
    "Ask the Entra administrators to allow this app from this address, or to lower its risk.",
)
_THROTTLED = Advice("Entra throttles this tenant", "Nothing: it is tried again later.", temporary=True)
_TRANSIENT = Advice("Entra has a fault of its own", "Nothing: it is tried again later.", temporary=True)
_CLOUD = Advice("the tenant is in another national cloud", "Set cloud to the one the tenant is in.")


def _federation(claim: str) -> Advice:
    return Advice(
        f"no federated credential of the app matches the token's {claim}",
        "Compare what Entra names with the app's federated credentials: they must be equal to the letter. One that was "
        "made just now takes some minutes to work.",
    )


ADVICE = {
    7000215: Advice(
        "the client secret is wrong",
        "Copy the secret's Value, not its Secret ID, from Certificates & secrets; make a new one if it was not kept.",
    ),
    7000222: Advice("the client secret has expired", "Make a new client secret and put it in place of the old one."),
    7000218: Advice("no credential was sent", "Configure a credential for the tenant."),
    700025: Advice(
        "the app is registered as a public client, which must not send a credential",
        "Register a web (confidential) app, or turn off 'Allow public client flows'.",
    ),
    700016: _NOT_IN_TENANT,
    700011: _NOT_IN_TENANT,
    7000112: _APP_DISABLED,
    70001: _APP_DISABLED,
    90002: Advice("the tenant does not exist in this cloud", "Check tenant_id and cloud."),
    900023: _NO_TENANT,
    50059: _NO_TENANT,
    50128: _NO_TENANT,
    9001023: _NO_TENANT,
    700027: Advice(
        "the signature of our assertion was not accepted",
        "Upload this very certificate to the app registration; check that the key belongs to it and that the app's own "
        "certificate comes first in the file.",
    ),
    700030: _CERTIFICATE,
    50012: _CERTIFICATE,
    50017: _CERTIFICATE,
    700024: Advice(
        "our assertion is outside its time window", "Set this host's clock: it differs from Entra's by minutes."
    ),
    700211: _federation("issuer"),
    7002111: _federation("issuer"),
    700212: _federation("audience"),
    7002121: _federation("audience"),
    700213: _federation("subject"),
    7002131: _federation("subject"),
    70021: _federation("issuer, subject or audience"),
    700222: _NOT_FEDERABLE,
    700229: _NOT_FEDERABLE,
    500011: _RESOURCE,
    50001: _RESOURCE,
    650057: _RESOURCE,
    70011: _SCOPE,
    28002: _SCOPE,
    65001: _CONSENT,
    650056: _CONSENT,
    90094: _CONSENT,
    53003: _POLICY,
    530032: _POLICY,
    53011: _POLICY,
    1000031: Advice("an administrator has blocked the app", "Ask the Entra administrators to unblock it."),
    50196: Advice(
        "Entra has seen the same request too often in a row",
        "Wait some minutes, and look for another program that signs in as this app in a loop.",
        temporary=True,
    ),
    90055: _THROTTLED,
    90033: _TRANSIENT,
    90006: _TRANSIENT,
    90012: _TRANSIENT,
    90024: _TRANSIENT,
    90090: _TRANSIENT,
    90091: _TRANSIENT,
    50033: _TRANSIENT,
    50000: _TRANSIENT,
    90038: _CLOUD,
    900382: _CLOUD,
    900432: _CLOUD,
}
"""Number of the AADSTS code -> advice."""

OAUTH = {
    "invalid_client": Advice("the credential was not accepted", "Check the app's secret or certificate."),
    "unauthorized_client": _NOT_IN_TENANT,
    "invalid_resource": _RESOURCE,
    "invalid_scope": _SCOPE,
    "invalid_grant": _CONSENT,
    "temporarily_unavailable": _TRANSIENT,
    "server_error": _TRANSIENT,
    "slow_down": _THROTTLED,
}
"""OAuth error (RFC 6749) -> advice, where the AADSTS code says nothing."""

UNKNOWN = Advice("sign-in was refused", "Look the code up at https://login.microsoftonline.com/error.")
"""For what is in neither table."""

NO_IDENTITY = Advice(
    "this host has no such managed identity",
    "Assign the identity to the host, and name a user-assigned one by its client_id.",
)
"""For a managed identity, whose endpoint has no codes."""
