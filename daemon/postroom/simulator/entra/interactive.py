"""What discovery names besides the token endpoint: sign-in by people, which is refused as for an app without it.

An app that only ever signs in by its own credentials has no reply address, and no person can sign in to it. Sources:
Entra reference-error-codes docs; AADSTS500113 and 900561 are reported.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from postroom.simulator.entra.answers import guarded, page
from postroom.simulator.entra.errors import EntraError
from postroom.simulator.entra.service import MULTI_TENANT, Entra

_SIGN_IN = r"/{tenant}/{part:oauth2|v2\.0|discovery|saml2}{rest:(/.*)?}"


def interactive_routes(entra: Entra) -> list[web.RouteDef]:
    """Return the routes of what nobody can do here; they come after those of what is served."""
    oauth2 = "/{tenant}/oauth2/v2.0"
    return [
        web.route("*", f"{oauth2}/authorize", guarded(entra, _authorize, in_browser=True)),
        web.route("*", "/{tenant}/oauth2/authorize", guarded(entra, _authorize, in_browser=True)),
        web.post(f"{oauth2}/devicecode", guarded(entra, _device_code)),
        web.route("*", f"{oauth2}/logout", _logout),
        web.get(f"{oauth2}/{{only:token|devicecode}}", guarded(entra, _wrong_method, in_browser=True)),
        web.get(_SIGN_IN, guarded(entra, _nothing_there, in_browser=True)),
        web.route("*", _SIGN_IN, guarded(entra, _nothing_there)),
    ]


async def _authorize(entra: Entra, request: web.Request) -> dict[str, Any]:
    await _check_client(entra, request)
    raise EntraError(500113)


async def _device_code(entra: Entra, request: web.Request) -> dict[str, Any]:
    await _check_client(entra, request)
    raise EntraError(70002)


async def _check_client(entra: Entra, request: web.Request) -> None:
    """Refuse a tenant or an app that is not there before anything else; raises EntraError."""
    sent = {**request.query, **(await request.post())}
    client_id = sent.get("client_id")
    if not isinstance(client_id, str) or not client_id:
        raise EntraError(900144, "client_id")
    if (tenant := request.match_info["tenant"]) not in MULTI_TENANT:
        entra.directory(tenant).app(client_id)


async def _logout(_: web.Request) -> web.Response:
    return page("You are signed out", "Nobody was signed in: the simulated tenant signs in apps only.")


async def _wrong_method(_: Entra, request: web.Request) -> dict[str, Any]:
    raise EntraError(900561, request.method)


async def _nothing_there(entra: Entra, request: web.Request) -> dict[str, Any]:
    if (tenant := request.match_info["tenant"]) not in MULTI_TENANT:
        entra.directory(tenant)
    raise EntraError(9002313, request.path)
