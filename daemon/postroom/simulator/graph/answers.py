"""What every answer of Graph has in common: JSON, compression, request ids, and the shape of errors."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from postroom.simulator.graph.faults import GraphFault, as_fault
from postroom.simulator.request_clock import now_in_tenant
from postroom.simulator.state import StateError

Before = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""A look at each request before Graph; an answer it returns is Graph's answer."""

JSON_TYPE: Final = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
WORTH_COMPRESSING = 1024
TOO_BIG_TO_COMPRESS = 4 * 1024 * 1024
_DIAGNOSTIC = json.dumps(
    {
        "ServerInfo": {
            "DataCenter": "Simulated",
            "Slice": "E",
            "Ring": "1",
            "ScaleUnit": "000",
            "RoleInstance": "POSTROOM",
        }
    }
)
_CODES = {404: "ResourceNotFound", 405: "MethodNotAllowed", 413: "RequestEntityTooLarge"}


def json_answer(request: web.Request, body: dict[str, Any], *, status: int = 200) -> web.Response:
    """Answer with a JSON object."""
    return bytes_answer(request, msgspec.json.encode(body), JSON_TYPE, status=status)


def bytes_answer(request: web.Request, data: bytes, content_type: str, *, status: int = 200) -> web.Response:
    """Answer with bytes, compressed where the client takes that and it is worth it."""
    response = web.Response(
        body=data,
        status=status,
        headers={"Content-Type": content_type, "OData-Version": "4.0"},
        zlib_executor_size=TOO_BIG_TO_COMPRESS,
    )
    accepted = "gzip" in request.headers.get("Accept-Encoding", "")
    if accepted and WORTH_COMPRESSING < len(data) < TOO_BIG_TO_COMPRESS:
        response.enable_compression(web.ContentCoding.gzip)
    return response


def graph_middlewares(before: Before | None = None) -> list[Middleware]:
    """Return the middlewares of a Graph application: they render errors and put request ids on every answer."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        client_id = request.headers.get("client-request-id", request_id)[:64]
        try:
            response = await before(request) if before else None
            if response is None:
                response = await handler(request)
        except (GraphFault, StateError, web.HTTPException) as error:
            response = error_answer(request, error, request_id)
        response.headers.setdefault("request-id", request_id)
        response.headers.setdefault("client-request-id", client_id)
        response.headers.setdefault("x-ms-ags-diagnostic", _DIAGNOSTIC)
        return response

    return [answer]


def error_answer(
    request: web.Request, error: GraphFault | StateError | web.HTTPException, request_id: str = ""
) -> web.Response:
    """Answer an error in the shape of Graph."""
    request_id = request_id or str(uuid.uuid4())
    client_id = request.headers.get("client-request-id", request_id)[:64]
    return _render(request, _as_fault(error), request_id, client_id)


def _as_fault(error: GraphFault | StateError | web.HTTPException) -> GraphFault:
    if isinstance(error, GraphFault):
        return error
    if isinstance(error, StateError):
        return as_fault(error)
    return GraphFault(error.status, _CODES.get(error.status, "BadRequest"), error.reason)


def _render(request: web.Request, fault: GraphFault, request_id: str, client_id: str) -> web.Response:
    """Write an error in the shape of Graph (GDC concepts/errors.md)."""
    now = now_in_tenant(request).strftime("%Y-%m-%dT%H:%M:%S")
    inner = {"date": now, "request-id": request_id, "client-request-id": client_id}
    body = {"error": {"code": fault.code, "message": fault.message, "innerError": inner}}
    response = json_answer(request, body, status=fault.status)
    response.headers.update(fault.headers)
    return response
