"""The simulated Entra itself: signs apps in, and tells Graph who a bearer is. No HTTP here."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from postroom.simulator.entra.assertions import check_certificate, check_federated, read_assertion
from postroom.simulator.entra.credentials import TokenRequest, check_scope, check_secret, read_request
from postroom.simulator.entra.directory import App, Directory
from postroom.simulator.entra.errors import EntraError
from postroom.simulator.entra.federation import Federation
from postroom.simulator.entra.tokens import LONG_LIFETIME, BearerRefused, Grant, TokenSigner

_TENANT_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE)

MULTI_TENANT = ("common", "organizations")
"""Names under which every tenant's people can sign in."""


class Entra:
    """Tenants, trusted foreign issuers, and the key that signs access tokens.

    Args:
        login: Base URL it is reached under; the issuer of its tokens.
        resources: Base URLs of Graph that a scope may name, without a closing slash.
        clock: Says what time it is, aware; expiry everywhere follows it.
        token_lifetime: Seconds an access token lives; from 7200 on the answer carries `refresh_in`.
        signer: Signs the access tokens; one with a new key is made without.
    """

    def __init__(
        self,
        *,
        login: str,
        resources: Iterable[str],
        clock: Callable[[], datetime],
        token_lifetime: int = 3599,
        signer: TokenSigner | None = None,
    ) -> None:
        self.login = login
        self.resources = set(resources)
        self.clock = clock
        self.token_lifetime = token_lifetime
        self.directories: list[Directory] = []
        self.issuers: dict[str, rsa.RSAPublicKey] = {}
        self.signer = signer or TokenSigner()

    def add_directory(self, directory: Directory) -> Directory:
        """Add a tenant."""
        self.directories.append(directory)
        return directory

    def trust(self, federation: Federation) -> None:
        """Learn a foreign issuer's key, as Entra does from its OIDC discovery."""
        self.issuers[federation.issuer] = federation.public_key

    def directory(self, name: str) -> Directory:
        """Return the tenant called `name` (id or domain); raises `EntraError` 90002, 900023 or 50059."""
        if name in ("common", "organizations", "consumers"):
            raise EntraError(50059)
        for directory in self.directories:
            if directory.is_called(name):
                return directory
        raise EntraError(90002 if _TENANT_NAME.fullmatch(name) else 900023, name)

    def sign_in(self, tenant: str, form: Mapping[str, str], *, base: str, authorization: str = "") -> dict[str, Any]:
        """Answer a token request with a token; raises `EntraError`.

        Args:
            tenant: The tenant as the URL names it.
            form: The request's form fields.
            base: Base URL the client used; an assertion must be meant for the token endpoint under it.
            authorization: The Authorization header, for HTTP Basic.
        """
        directory = self.directory(tenant)
        request = read_request(form, authorization)
        app = directory.app(request.client_id)
        endpoints = {token_endpoint(base, name) for name in (tenant, directory.tenant_id)}
        self._check_credential(app, request, endpoints)
        proof = "2" if request.assertion else "1"
        return self.issue(directory, app, check_scope(request.scope, self.resources), proof)

    def identify(self, authorization: str) -> tuple[App, Grant]:
        """Return who a Graph request comes from; raises `BearerRefused`."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise BearerRefused("Access token is empty.")
        grant = self.signer.read(
            token.strip(), audiences=self.resources, issuer=f"{self.login}/{{tid}}/", now=self.clock()
        )
        app = self._app(grant)
        if app.tokens_valid_from is not None and grant.issued_at < app.tokens_valid_from:
            raise BearerRefused("The token was revoked: it is older than the application's last change.")
        return app, grant

    def _app(self, grant: Grant) -> App:
        try:
            return self.directory(grant.tenant_id).app(grant.app_id)
        except EntraError as error:
            raise BearerRefused("The application was removed from the tenant.") from error

    def _check_credential(self, app: App, request: TokenRequest, endpoints: set[str]) -> None:
        now = self.clock()
        if not request.assertion:
            check_secret(app, request.secret, now)
            return
        assertion = read_assertion(request.assertion)
        if assertion.by_certificate:
            check_certificate(assertion, app, audiences=endpoints, now=now)
        else:
            check_federated(assertion, app, issuers=self.issuers, now=now)

    def domains_beside(self, tenant_id: str) -> frozenset[str]:
        """Return the mail domains of all other tenants."""
        if len(self.directories) == 1:
            return frozenset()
        others = (directory.domains for directory in self.directories if directory.tenant_id != tenant_id)
        return frozenset().union(*others)

    def issue(self, directory: Directory, app: App, resource: str, proof: str) -> dict[str, Any]:
        """Make the answer with an access token for an app that has signed in.

        Args:
            directory: The tenant that issues it.
            app: Whom it is for.
            resource: What it is for: a base URL of Graph.
            proof: How the app signed in: ``1`` by secret, ``2`` by key (the claim `appidacr`).
        """
        now, lifetime = self.clock(), app.token_lifetime or self.token_lifetime
        claims = {
            "aud": resource,
            "iss": f"{self.login}/{directory.tenant_id}/",
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + timedelta(seconds=lifetime)).timestamp()),
            "app_displayname": app.name,
            "appid": app.client_id,
            "appidacr": proof,
            "idtyp": "app",
            "tid": directory.tenant_id,
            "uti": uuid.uuid4().hex,
            "ver": "1.0",
        }
        if app.roles:  # a token without any grant has no such claim at all (client-creds docs)
            claims["roles"] = sorted(app.roles)
        answer = {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime}
        if lifetime >= LONG_LIFETIME:
            answer["refresh_in"] = lifetime // 2
        return {**answer, "access_token": self.signer.sign(claims)}


def token_endpoint(base: str, tenant: str) -> str:
    """Return the v2.0 token endpoint of a tenant under a base URL."""
    return f"{base}/{tenant}/oauth2/v2.0/token"
