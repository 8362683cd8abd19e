"""HTTP in front of the simulated Entra: discovery, keys and the token endpoint; the rest is refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from postroom.simulator.entra.answers import base, guarded
from postroom.simulator.entra.errors import EntraError
from postroom.simulator.entra.interactive import interactive_routes
from postroom.simulator.entra.service import MULTI_TENANT, Entra, token_endpoint


def entra_routes(entra: Entra) -> list[web.RouteDef]:
    """Return the routes of the login host, to be mounted at its root."""
    return [
        web.get("/common/discovery/instance", guarded(entra, _instance)),
        web.get("/{tenant}/v2.0/.well-known/openid-configuration", guarded(entra, _discovery)),
        web.get("/{tenant}/discovery/v2.0/keys", guarded(entra, _keys)),
        web.post("/{tenant}/oauth2/v2.0/token", guarded(entra, _token)),
        *interactive_routes(entra),
    ]


async def _token(entra: Entra, request: web.Request) -> dict[str, Any]:
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    return entra.sign_in(
        request.match_info["tenant"],
        form,
        base=base(request),
        authorization=request.headers.get("Authorization", ""),
    )


async def _keys(entra: Entra, request: web.Request) -> dict[str, Any]:
    if request.match_info["tenant"] not in MULTI_TENANT:
        entra.directory(request.match_info["tenant"])
    return {"keys": [{**entra.signer.jwk(), "issuer": f"{entra.login}/{{tenantid}}/v2.0"}]}


async def _discovery(entra: Entra, request: web.Request) -> dict[str, Any]:
    host, tenant = base(request), request.match_info["tenant"]
    root = f"{host}/{tenant}"
    return {
        "issuer": f"{host}/{_issuer_id(entra, tenant)}/v2.0",
        "token_endpoint": token_endpoint(host, tenant),
        "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
        "userinfo_endpoint": f"{host}/oidc/userinfo",
        "end_session_endpoint": f"{root}/oauth2/v2.0/logout",
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
    if tenant in MULTI_TENANT:
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
        "tenant_discovery_endpoint": f"{base(request)}/{tenant}/v2.0/.well-known/openid-configuration",
        "api-version": request.query.get("api-version", "1.1"),
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }
