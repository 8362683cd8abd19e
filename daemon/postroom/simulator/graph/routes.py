"""Finds the operation for a request. One aiohttp route takes all: Graph's paths have too many spellings for more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from postroom.simulator.graph import (
    attachments,
    delta,
    drafts,
    folder_changes,
    folder_delta,
    folders,
    message_list,
    messages,
    moves,
    replies,
    sending,
    subscriptions,
    translate,
    uploads,
)
from postroom.simulator.graph.batch import run_batch
from postroom.simulator.graph.call import Call, Caller, Operation, Operations
from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.notifications import Notifier
from postroom.simulator.graph.paths import Path, read_path
from postroom.simulator.graph.throttling import in_flight
from postroom.simulator.state import TenantState

_OPERATIONS: Operations = {
    **folders.OPERATIONS,
    **folder_changes.OPERATIONS,
    **folder_delta.OPERATIONS,
    **delta.OPERATIONS,
    **message_list.OPERATIONS,
    **messages.OPERATIONS,
    **moves.OPERATIONS,
    **attachments.OPERATIONS,
    **drafts.OPERATIONS,
    **sending.OPERATIONS,
    **replies.OPERATIONS,
    **uploads.OPERATIONS,
    **translate.OPERATIONS,
    **subscriptions.OPERATIONS,
}
_SHAPES = frozenset(shape for _, shape in _OPERATIONS)
_ABSENT: Final = {
    "usgov": frozenset({"permanentdelete", "createuploadsession", "translateexchangeids"}),
    "china": frozenset({"permanentdelete", "delta"}),
}
"""What a national cloud lacks (CSDL Fairfax and Mooncake)."""


def graph_routes(state: TenantState, authorise: Callable[[web.Request], Caller]) -> list[web.RouteDef]:
    """Return the routes of Graph mail, for an application mounted under ``/v1.0``.

    Args:
        state: The mailboxes.
        authorise: Tells who asks; raises GraphFault 401 for a token that is not valid.
    """
    notifier = Notifier(state)

    async def serve(request: web.Request) -> web.StreamResponse:
        caller = authorise(request)
        path = read_path(request.rel_url.raw_path)
        if path.shape == "$batch":
            return await run_batch(request, state.nuisance, answer_part(caller))
        return await answer(request, caller, path)

    def answer_part(caller: Caller) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        return lambda part: answer(part, caller, read_path(part.rel_url.raw_path))

    async def answer(request: web.Request, caller: Caller, path: Path) -> web.StreamResponse:
        operation = _operation(request.method, path, state.cloud)
        call = Call(request, caller, state, path, notifier)
        return await in_flight(call, operation)

    return [web.route("*", "/{path:.*}", serve)]


def _operation(method: str, path: Path, cloud: str) -> Operation:
    """Find the operation; raises GraphFault."""
    found = _OPERATIONS.get((method, path.shape))
    last = path.shape.rpartition("/")[2]
    if found is not None and last not in _ABSENT.get(cloud, ()):
        return found
    if found is None and path.shape in _SHAPES:
        raise GraphFault(405, "Request_BadRequest", f"The method {method} is not allowed here.")
    if path.shape.split("/")[0] == "me":
        raise bad_request("/me request is only valid with delegated authentication flow.")
    raise bad_request(f"Resource not found for the segment '{last[:100]}'.")
