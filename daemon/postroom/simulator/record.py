"""Records what went over the wire between a client and the simulated Graph, for tests that judge exchanges."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable, Mapping
from typing import Any, SupportsBytes

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

Record = Callable[[dict[str, Any]], None]
"""Takes one exchange: ``method url req_headers req_body status resp_headers resp_body``; bodies are text or b64."""

_SECRET_HEADERS = ("authorization", "cookie")


def recording_middleware(record: Record, prefix: str) -> Middleware:
    """Return the middleware that records every exchange under `prefix`.

    It belongs inside the faults: what is recorded is what the tenant said, not what the weather made of it.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(prefix):
            return await handler(request)
        response = await handler(request)
        # Read afterwards: of a request that was read before, a batch could make no requests of its own.
        record(_exchange(request, await request.read(), response))
        return response

    return middleware


def _exchange(request: web.Request, body: bytes, response: web.StreamResponse) -> dict[str, Any]:
    """Take an exchange down; the token stays out, and a compressed answer is unpacked."""
    answer = response.body if isinstance(response, web.Response) else None
    answered = bytes(answer) if isinstance(answer, SupportsBytes | bytearray) else b""
    headers = _headers(response.headers)
    if headers.pop("Content-Encoding", "") == "gzip":
        answered = gzip.decompress(answered)
    return {
        "method": request.method,
        "url": f"{request.scheme}://{request.host}{request.raw_path}",
        "req_headers": _headers(request.headers),
        "req_body": _text(body),
        "status": response.status,
        "resp_headers": headers,
        "resp_body": _text(answered),
    }


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: "..." if name.lower() in _SECRET_HEADERS else value for name, value in headers.items()}


def _text(body: bytes) -> str | dict[str, str] | None:
    if not body:
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(body).decode()}
