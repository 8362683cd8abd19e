"""Who may control a simulated tenant: this machine's own programs and pages, and no page of anybody else's.

A web page from elsewhere can make a browser send requests to loopback. It is kept out by three things: the Host must be
a loopback name (against DNS rebinding), a browser must say that a write comes from this very origin, and forms carry a
token. Writes of the JSON interface have content types a foreign page cannot send without asking first (Fetch standard).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import ipaddress
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

_API = "/api/"
_READS = ("GET", "HEAD")
_SIMPLE_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
STYLE_FILE = Path(__file__).parent / "templates" / "start.css"


@functools.cache
def style() -> str:
    """Return the style sheet, which stands in the page."""
    return STYLE_FILE.read_text(encoding="utf-8")


@functools.cache
def _headers() -> dict[str, str]:
    allowed = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


async def harden(_: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that keep a browser from doing more than showing the page."""
    response.headers.update(_headers())


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a foreign page may have caused; see above."""
    if _on_loopback(request) and not _is_loopback(_name(request.host)):
        raise web.HTTPMisdirectedRequest(text="The control endpoint answers to localhost only.\n")
    if request.method not in _READS and not _same_origin(request):
        raise web.HTTPForbidden(text="This request was caused by a page from elsewhere.\n")
    if request.method not in _READS and request.path.startswith(_API) and request.content_type in _SIMPLE_TYPES:
        raise web.HTTPUnsupportedMediaType(text="Send application/json, or message/rfc822 for a mail.\n")
    return await handler(request)


@web.middleware
async def spoken(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say under ``/api`` in JSON what HTTP says in a status: no such path, no such method, not from there."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if not request.path.startswith(_API):
            raise
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return web.json_response({"error": _words(request, error)}, status=error.status, headers=allowed)


def _words(request: web.Request, error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPNotFound):
        return f"There is nothing at {request.path[:200]}."
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{request.method} is not possible there, only {' and '.join(sorted(error.allowed_methods))}."
    return (error.text or error.reason).strip()


def _same_origin(request: web.Request) -> bool:
    """Tell whether a browser says that the request is this page's own; programs say nothing."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    own = f"{request.scheme}://{request.host}"
    return request.headers.get("Origin", own) == own


def _on_loopback(request: web.Request) -> bool:
    local = request.transport.get_extra_info("sockname") if request.transport else None
    return isinstance(local, tuple) and _is_loopback(local[0])


def _name(host: str) -> str:
    """Return the host without its port; an IPv6 address without its brackets."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.rsplit(":", 1)[0]


def _is_loopback(name: str) -> bool:
    try:
        return name.lower() == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
