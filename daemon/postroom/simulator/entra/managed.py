"""What a machine in Azure asks for a token without any credential: the metadata service, and App Service's endpoint.

Sources: Entra managed-identities how-to-use-vm-token docs (VM, api-version 2018-02-01) and App Service
overview-managed-identity docs (api-version 2019-08-01). Both are plain HTTP, reached from the machine alone.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from postroom.simulator.entra.directory import Directory, ManagedIdentity
from postroom.simulator.entra.service import Entra

METADATA_PATH = "/metadata/identity/oauth2/token"
APP_SERVICE_PATH = "/msi/token"

_VERSIONS = {METADATA_PATH: "2018-02-01", APP_SERVICE_PATH: "2019-08-01"}
_RESOURCE_IDS = ("msi_res_id", "mi_res_id")


class IdentityRefused(Exception):
    """The endpoint hands out no token; status, error name and sentence."""

    def __init__(self, error: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status
        self.error = error


def managed_identity_routes(entra: Entra, header: str) -> list[web.RouteDef]:
    """Return the routes of the metadata service and of App Service's endpoint, for a listener of their own.

    Args:
        entra: Knows the identities: those of its tenants' `Directory.managed`.
        header: What ``X-IDENTITY-HEADER`` must say at App Service's endpoint.
    """

    async def metadata(request: web.Request) -> web.Response:
        if request.headers.get("Metadata", "").lower() != "true" or "X-Forwarded-For" in request.headers:
            return _refusal(IdentityRefused("invalid_request", "Required metadata header not specified"))
        return _serve(entra, request)

    async def app_service(request: web.Request) -> web.Response:
        if not hmac.compare_digest(request.headers.get("X-IDENTITY-HEADER", "").encode(), header.encode()):
            return web.json_response({"statusCode": 401, "message": "The identity header is wrong."}, status=401)
        return _serve(entra, request)

    return [web.get(METADATA_PATH, metadata), web.get(APP_SERVICE_PATH, app_service)]


def _serve(entra: Entra, request: web.Request) -> web.Response:
    try:
        return web.json_response(_token(entra, request.path, request.query))
    except IdentityRefused as refused:
        return _refusal(refused)


def _refusal(refused: IdentityRefused) -> web.Response:
    body = {"error": refused.error, "error_description": str(refused), "statusCode": refused.status}
    return web.json_response({**body, "message": str(refused)}, status=refused.status)


def _token(entra: Entra, path: str, query: Mapping[str, str]) -> dict[str, Any]:
    """Answer a request that came to the right door."""
    if query.get("api-version") != _VERSIONS[path]:
        raise IdentityRefused("bad_request_102", f"api-version is missing or not {_VERSIONS[path]}")
    resource = query.get("resource", "").rstrip("/")
    if not resource:
        raise IdentityRefused("invalid_request", "Required query variable 'resource' is missing")
    if resource not in entra.resources:
        raise IdentityRefused(
            "invalid_resource", f"AADSTS500011: The resource principal named {resource[:200]} was not found."
        )
    directory, identity = _identity(entra, query)
    answer = entra.issue(directory, identity.app, resource, "2")
    lifetime, now = answer["expires_in"], int(entra.clock().timestamp())
    token = {
        "access_token": answer["access_token"],
        "client_id": identity.app.client_id,
        "expires_on": str(now + lifetime),
        "resource": resource,
        "token_type": "Bearer",
    }
    if path == APP_SERVICE_PATH:
        return token
    return {**token, "expires_in": str(lifetime), "ext_expires_in": str(lifetime), "not_before": str(now)}


def _identity(entra: Entra, query: Mapping[str, str]) -> tuple[Directory, ManagedIdentity]:
    """Find the identity asked for: by one of its ids, or the machine's own; a lone user-assigned one stands in.

    That a machine whose only identity is user-assigned hands that one out is how the live service behaves.
    """
    known = [(directory, identity) for directory in entra.directories for identity in directory.managed]
    resource_id = next((query[name].lower() for name in _RESOURCE_IDS if name in query), None)
    asked = {
        "client_id": query.get("client_id", "").lower(),
        "object_id": (query.get("object_id") or query.get("principal_id") or "").lower(),
        "resource_id": resource_id or "",
    }
    if any(asked.values()):
        found = [pair for pair in known if _is_called(pair[1], asked)]
    else:
        found = [pair for pair in known if not pair[1].user_assigned] or (known if len(known) == 1 else [])
    if not found or not found[0][1].app.enabled:
        raise IdentityRefused("invalid_request", "Identity not found")
    return found[0]


def _is_called(identity: ManagedIdentity, asked: Mapping[str, str]) -> bool:
    names = {
        "client_id": identity.app.client_id,
        "object_id": identity.object_id,
        "resource_id": identity.resource_id,
    }
    return all(not value or names[name].lower() == value for name, value in asked.items())
