"""The web application of a simulated tenant: Entra at the root, Graph below it, faults and the recorder around both."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from postroom.simulator.entra import BearerRefused, Entra, entra_routes
from postroom.simulator.faults import FaultPlan, fault_middleware
from postroom.simulator.graph import UPLOADS, Caller, GraphFault, graph_middlewares, graph_routes, upload_application
from postroom.simulator.record import Record, recording_middleware
from postroom.simulator.state import TenantState

GRAPH = "/v1.0"
"""Where Graph is mounted."""

LARGEST_REQUEST = 160 * 1024 * 1024
"""Bytes of a request's body; Graph itself refuses less, this only bounds memory."""


def application(state: TenantState, entra: Entra, faults: FaultPlan, record: Record | None) -> web.Application:
    """Put the parts together; each stays usable on its own."""
    recorder = [recording_middleware(record, f"{GRAPH}/")] if record else []
    graph = web.Application(middlewares=graph_middlewares(), client_max_size=LARGEST_REQUEST)
    graph.add_routes(graph_routes(state, authoriser(entra)))
    whole = web.Application(middlewares=[fault_middleware(faults), *recorder], client_max_size=LARGEST_REQUEST)
    whole.add_subapp(GRAPH, graph)
    whole.add_subapp(UPLOADS, upload_application(state))
    whole.add_routes(entra_routes(entra))
    return whole


def authoriser(entra: Entra) -> Callable[[web.Request], Caller]:
    """Return what tells Graph who calls; it raises GraphFault 401 for a token that is missing or not valid here."""

    def authorise(request: web.Request) -> Caller:
        try:
            app, grant = entra.identify(request.headers.get("Authorization", ""))
        except BearerRefused as error:
            raise GraphFault(401, "InvalidAuthenticationToken", str(error)) from error
        beside = entra.domains_beside(grant.tenant_id)
        return Caller(app.client_id, grant.roles, app.mailboxes, beside, grant.tenant_id)

    return authorise
