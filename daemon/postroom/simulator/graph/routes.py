"""Finds the operation for a request. One aiohttp route takes all: Graph's paths have too many spellings for more."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from postroom.simulator.graph import attachments, delta, drafts, folders, message_list, messages, moves
from postroom.simulator.graph.call import Call, Caller, Operation, Operations
from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.paths import Path, read_path
from postroom.simulator.state import TenantState

_OPERATIONS: Operations = {
    **folders.OPERATIONS,
    **delta.OPERATIONS,
    **message_list.OPERATIONS,
    **messages.OPERATIONS,
    **moves.OPERATIONS,
    **attachments.OPERATIONS,
    **drafts.OPERATIONS,
}
_SHAPES = frozenset(shape for _, shape in _OPERATIONS)


def graph_routes(state: TenantState, authorise: Callable[[web.Request], Caller]) -> list[web.RouteDef]:
    """Return the routes of Graph mail, for an application mounted under ``/v1.0``.

    Args:
        state: The mailboxes.
        authorise: Tells who asks; raises GraphFault 401 for a token that is not valid.
    """

    async def serve(request: web.Request) -> web.StreamResponse:
        caller = authorise(request)
        path = read_path(request.rel_url.raw_path)
        operation = _operation(request.method, path)
        call = Call(request, caller, state, path)
        call.require(operation.needs)
        return await operation.handle(call)

    return [web.route("*", "/{path:.*}", serve)]


def _operation(method: str, path: Path) -> Operation:
    """Find the operation; raises GraphFault."""
    found = _OPERATIONS.get((method, path.shape))
    if found is not None:
        return found
    if path.shape in _SHAPES:
        raise GraphFault(405, "Request_BadRequest", f"The method {method} is not allowed here.")
    if path.shape.split("/")[0] == "me":
        raise bad_request("/me request is only valid with delegated authentication flow.")
    raise bad_request(f"Resource not found for the segment '{path.shape.rpartition('/')[2][:100]}'.")
