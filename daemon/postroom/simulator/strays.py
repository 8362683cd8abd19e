"""Requests that nobody serves, answered by the side they were meant for: unknown paths, and heads that are too long.

Sources: microsoftgraph/msgraph-sample-blazor-clientside#94 for an unknown version,
microsoftgraph/microsoft-graph-explorer-v4#3184 for a head that is too long; Entra reference-error-codes docs for 90015.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from postroom.simulator.entra import Entra, EntraError, refusal
from postroom.simulator.graph import Caller, GraphFault, graph_middlewares

LONGEST_HEAD = 16 * 1024
"""Bytes of a request line and its headers together; what serves Graph takes no more by default (HTTP.sys docs)."""

_USERINFO = "/oidc/userinfo"
_TOO_LONG = (
    "<html><head><title>Bad Request</title></head><body><h2>Bad Request - Request Too Long</h2>"
    f"<p>HTTP Error 400. The request line and the headers have more than {LONGEST_HEAD} bytes.</p></body></html>"
)


def stray_routes(authorise: Callable[[web.Request], Caller]) -> list[web.RouteDef]:
    """Return the route that takes what no other does; it comes last.

    Args:
        authorise: Tells who asks; raises GraphFault 401.
    """

    async def refuse(request: web.Request) -> web.StreamResponse:
        if request.path.split("/")[1].lower() == "beta":
            authorise(request)
            raise GraphFault(501, "NotImplemented", "The simulated tenant does not support the beta version of Graph.")
        if request.path == _USERINFO:
            authorise(request)
            raise GraphFault(400, "BadRequest", f"{_USERINFO} is only valid with delegated authentication flow.")
        raise GraphFault(400, "BadRequest", "Invalid version.")

    return [web.route("*", "/{path:.*}", _as_graph(refuse))]


def length_middleware(entra: Entra, is_graphs: Callable[[str], bool]) -> Middleware:
    """Return the middleware that refuses heads of requests that are too long.

    Args:
        entra: Words the refusal of a sign-in.
        is_graphs: Tells of a path whether Graph answers it.
    """

    async def refuse(_: web.Request) -> web.StreamResponse:
        raise GraphFault(400, "UnknownError", _TOO_LONG)

    graph = _as_graph(refuse)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if len(request.raw_path) + sum(len(name) + len(value) for name, value in request.raw_headers) <= LONGEST_HEAD:
            return await handler(request)
        return await graph(request) if is_graphs(request.path) else refusal(entra, request, EntraError(90015))

    return middleware


def _as_graph(handler: Handler) -> Handler:
    """Let a handler answer as Graph does."""
    (around,) = graph_middlewares()

    async def answer(request: web.Request) -> web.StreamResponse:
        return await around(request, handler)

    return answer
