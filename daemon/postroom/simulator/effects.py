"""What can go wrong with a request: error answers, broken connections, answers cut short, late or beside the point.

Each is a value, so that a profile or a control endpoint can build it from JSON; see `effect_json`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import socket
import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import SupportsBytes

from aiohttp import web
from aiohttp.typedefs import Handler

from postroom.simulator.entra.errors import EntraError
from postroom.simulator.request_clock import now_in_tenant

_TEXT = re.compile(rb'"(?:bodyPreview|subject)":\s*"')


@dataclass(frozen=True, slots=True)
class GraphAnswer:
    """An error in Graph's shape, such as 429 ``ApplicationThrottled`` (Graph errors and throttling docs).

    Attributes:
        retry_after: Seconds for the Retry-After header; none is sent without.
        as_date: Send it as an HTTP date, which RFC 9110 allows.
    """

    status: int
    code: str
    message: str = "Injected by the simulated tenant."
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: int | None = None
    as_date: bool = False

    async def apply(self, request: web.Request, _handler: Handler) -> web.StreamResponse:
        """Answer the error instead of serving the request."""
        request_id = str(uuid.uuid4())
        inner = {
            "date": now_in_tenant(request).strftime("%Y-%m-%dT%H:%M:%S"),
            "request-id": request_id,
            "client-request-id": request.headers.get("client-request-id", request_id),
        }
        body = {"error": {"code": self.code, "message": self.message, "innerError": inner}}
        headers = {"request-id": request_id, **_retry_after(self.retry_after, as_date=self.as_date), **self.headers}
        return web.json_response(body, status=self.status, headers=headers)


@dataclass(frozen=True, slots=True)
class EntraAnswer:
    """An AADSTS refusal, such as 90055 (throttled) or 90033 (temporarily unavailable)."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: int | None = None

    async def apply(self, request: web.Request, _handler: Handler) -> web.StreamResponse:
        """Answer the refusal instead of serving the request."""
        error = EntraError(self.code)
        body = error.body(now_in_tenant(request), host=f"{request.scheme}://{request.host}")
        headers = {**_retry_after(self.retry_after), **self.headers}
        return web.json_response(body, status=error.status, headers=headers)


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """A proxy's or gateway's error page where JSON was expected."""

    status: int = 502

    async def apply(self, _request: web.Request, _handler: Handler) -> web.StreamResponse:
        """Answer a page instead of serving the request."""
        text = f"<html><head><title>{self.status}</title></head><body><h1>Bad gateway</h1></body></html>"
        return web.Response(text=text, status=self.status, content_type="text/html")


@dataclass(frozen=True, slots=True)
class EmptyBody:
    """A status with nothing behind it; the request was served all the same when `serve` is set."""

    status: int = 200
    serve: bool = False

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer without a body."""
        if self.serve:
            await handler(request)
        return web.Response(status=self.status)


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset; after the work was done when `serve` is set, so that the client cannot know."""

    serve: bool = False

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Send a TCP reset instead of an answer."""
        if self.serve:
            await handler(request)
        reset(request)
        return web.Response()


@dataclass(frozen=True, slots=True)
class Truncated:
    """The answer breaks off: the headers promise all of it, the connection dies after a part."""

    part: float = 0.5

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Send the first part of the answer, then reset the connection."""
        response = await _begin(request, await handler(request), self.part)
        reset(request)
        return response


@dataclass(frozen=True, slots=True)
class Stalled:
    """Nothing comes for `seconds`; then the connection is reset. With `part`, so much of the answer comes before."""

    seconds: float = 3600.0
    part: float = 0.0

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let the client wait."""
        response = await _begin(request, await handler(request), self.part) if self.part else web.Response()
        await asyncio.sleep(self.seconds)
        reset(request)
        return response


@dataclass(frozen=True, slots=True)
class Delayed:
    """The right answer, late."""

    seconds: float = 1.0

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Wait, then serve the request."""
        await asyncio.sleep(self.seconds)
        return await handler(request)


@dataclass(frozen=True, slots=True)
class ControlCharacters:
    """The right answer, with a raw control character in its text: reported of Graph, and no JSON (RFC 8259)."""

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Serve the request and spoil the texts of its JSON."""
        response = await handler(request)
        if not isinstance(response, web.Response) or response.content_type != "application/json":
            return response
        body = bytes(response.body) if isinstance(response.body, bytes | bytearray) else b""
        packed = response.headers.get("Content-Encoding") == "gzip"
        spoilt = _TEXT.sub(rb"\g<0>" + b"\x0b", gzip.decompress(body) if packed else body)
        response.body = gzip.compress(spoilt) if packed else spoilt
        return response


def _retry_after(seconds: int | None, *, as_date: bool = False) -> dict[str, str]:
    """Write the Retry-After header, if there is to be one; as a date it is the client's time, like the Date header."""
    if seconds is None:
        return {}
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    return {"Retry-After": date if as_date else str(seconds)}


def reset(request: web.Request) -> None:
    """Break a request's connection with a TCP reset, without a TLS goodbye."""
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):  # the client was faster
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _begin(request: web.Request, whole: web.StreamResponse, part: float) -> web.StreamResponse:
    """Send the headers of an answer and the first part of its body; an answer already streamed is left as it is."""
    body = whole.body if isinstance(whole, web.Response) else None
    if whole.prepared or not isinstance(body, SupportsBytes | bytearray):
        return whole
    body = bytes(body)
    response = web.StreamResponse(status=whole.status, headers=whole.headers)
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: int(len(body) * part)])
    return response
