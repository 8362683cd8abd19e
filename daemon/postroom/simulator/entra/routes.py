"""HTTP in front of the simulated Entra: discovery, keys and the token endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from postroom.simulator.entra.errors import EntraError
from postroom.simulator.entra.service import Entra, token_endpoint

_NO_STORE = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}
_MULTI_TENANT = ("common", "organizations")

_Handler = Callable[[web.Request], Awaitable[web.Response]]


def entra_routes(entra: Entra) -> list[web.RouteDef]:
    """Return the routes of the login host, to be mounted at its root."""
    return [
        web.get("/common/discovery/instance", _guard(entra, _instance)),
        web.get("/{tenant}/v2.0/.well-known/openid-configuration", _guard(entra, _discovery)),
        web.get("/{tenant}/discovery/v2.0/keys", _guard(entra, _keys)),
        web.post("/{tenant}/oauth2/v2.0/token", _guard(entra, _token)),
    ]


def _guard(entra: Entra, serve: Callable[[Entra, web.Request], Awaitable[dict[str, Any]]]) -> _Handler:
    """Serve JSON, and turn an `EntraError` into its answer."""

    async def handler(request: web.Request) -> web.Response:
        try:
            return web.json_response(await serve(entra, request), headers=_NO_STORE)
        except EntraError as error:
            correlation = request.headers.get("client-request-id", "")
            body = error.body(entra.clock(), host=_base(request), correlation_id=correlation)
            return web.json_response(body, status=error.status, headers=_NO_STORE)

    return handler


def _base(request: web.Request) -> str:
    """Return the base URL as the client wrote it: MSAL insists that discovery answers under the name it asked."""
    return f"{request.scheme}://{request.host}"


async def _token(entra: Entra, request: web.Request) -> dict[str, Any]:
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    return entra.sign_in(
        request.match_info["tenant"],
        form,
        base=_base(request),
        authorization=request.headers.get("Authorization", ""),
    )


async def _keys(entra: Entra, request: web.Request) -> dict[str, Any]:
    if request.match_info["tenant"] not in _MULTI_TENANT:
        entra.directory(request.match_info["tenant"])
    return {"keys": [{**entra.signer.jwk(), "issuer": f"{entra.login}/{{tenantid}}/v2.0"}]}


async def _discovery(entra: Entra, request: web.Request) -> dict[str, Any]:
    base, tenant = _base(request), request.match_info["tenant"]
    root = f"{base}/{tenant}"
    return {
        "issuer": f"{base}/{_issuer_id(entra, tenant)}/v2.0",
        "token_endpoint": token_endpoint(base, tenant),
        "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
        "jwks_uri": f"{root}/discovery/v2.0/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "tenant_region_scope": None,
        "msgraph_host": request.host,
    }


def _issuer_id(entra: Entra, tenant: str) -> str:
    if tenant in _MULTI_TENANT:
        return "{tenantid}"
    try:
        return entra.directory(tenant).tenant_id
    except EntraError as error:
        raise EntraError(error.code, tenant, error="invalid_tenant") from error


async def _instance(entra: Entra, request: web.Request) -> dict[str, Any]:
    asked = urlsplit(request.query.get("authorization_endpoint", ""))
    if asked.netloc != request.host:
        raise EntraError(50049, asked.netloc)
    tenant = asked.path.strip("/").partition("/")[0]
    _issuer_id(entra, tenant)
    host = request.host
    return {
        "tenant_discovery_endpoint": f"{_base(request)}/{tenant}/v2.0/.well-known/openid-configuration",
        "api-version": request.query.get("api-version", "1.1"),
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }
