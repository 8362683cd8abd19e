"""The web application of a simulated tenant: Entra at the root, Graph below it, faults and the recorder around both."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from postroom.simulator.entra import BearerRefused, Entra, entra_routes
from postroom.simulator.faults import FaultPlan, fault_middleware
from postroom.simulator.graph import UPLOADS, Caller, GraphFault, graph_middlewares, graph_routes, upload_application
from postroom.simulator.record import Record, recording_middleware
from postroom.simulator.request_clock import TENANT_CLOCK
from postroom.simulator.state import TenantState
from postroom.simulator.strays import length_middleware, stray_routes

GRAPH = "/v1.0"
"""Where Graph is mounted."""

LARGEST_REQUEST = 160 * 1024 * 1024
"""Bytes of a request's body; Graph itself refuses less, this only bounds memory."""

_CHALLENGE = (
    'Bearer realm="", authorization_uri="{}/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000"'
)
"""What Graph sends with 401 (Entra claims-challenge docs; the client is Graph itself)."""


def application(state: TenantState, entra: Entra, faults: FaultPlan, record: Record | None) -> web.Application:
    """Put the parts together; each stays usable on its own."""
    authorise = authoriser(entra)
    recorder = [recording_middleware(record, f"{GRAPH}/")] if record else []
    graph = web.Application(middlewares=graph_middlewares(), client_max_size=LARGEST_REQUEST)
    graph.add_routes(graph_routes(state, authorise))
    around = [fault_middleware(faults), length_middleware(entra, _is_graphs), *recorder]
    whole = web.Application(middlewares=around, client_max_size=LARGEST_REQUEST)
    whole[TENANT_CLOCK] = state.now
    whole.add_subapp(GRAPH, graph)
    whole.add_subapp(UPLOADS, upload_application(state))
    whole.add_routes([*entra_routes(entra), *stray_routes(authorise)])
    return whole


def _is_graphs(path: str) -> bool:
    return path.startswith((f"{GRAPH}/", UPLOADS, "/beta/", "/oidc/"))


def authoriser(entra: Entra) -> Callable[[web.Request], Caller]:
    """Return what tells Graph who calls; it raises GraphFault 401 for a token that is missing or not valid here."""

    def authorise(request: web.Request) -> Caller:
        try:
            app, grant = entra.identify(request.headers.get("Authorization", ""))
        except BearerRefused as error:
            challenge = {"WWW-Authenticate": _CHALLENGE.format(f"{request.scheme}://{request.host}")}
            raise GraphFault(401, "InvalidAuthenticationToken", str(error), headers=challenge) from error
        beside = entra.domains_beside(grant.tenant_id)
        return Caller(app.client_id, grant.roles, app.mailboxes, beside, grant.tenant_id)

    return authorise
