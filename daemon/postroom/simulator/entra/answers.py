"""How the simulated Entra answers: JSON to programs, a page to browsers, and its refusals in either."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from postroom.simulator.entra.errors import EntraError
from postroom.simulator.entra.service import Entra

_HEADERS = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}
_PAGE_HEADERS = {**_HEADERS, "Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}

Handler = Callable[[web.Request], Awaitable[web.Response]]


def guarded(
    entra: Entra, serve: Callable[[Entra, web.Request], Awaitable[dict[str, Any]]], *, in_browser: bool = False
) -> Handler:
    """Serve JSON, and turn an `EntraError` into its answer: a page where browsers go, JSON elsewhere."""

    async def handler(request: web.Request) -> web.Response:
        try:
            return web.json_response(await serve(entra, request), headers=_HEADERS)
        except EntraError as error:
            return refusal_page(error) if in_browser else refusal(entra, request, error)

    return handler


def refusal(entra: Entra, request: web.Request, error: EntraError) -> web.Response:
    """Answer a refusal in JSON."""
    correlation = request.headers.get("client-request-id", "")
    body = error.body(entra.clock(), host=base(request), correlation_id=correlation)
    return web.json_response(body, status=error.status, headers=_HEADERS)


def refusal_page(error: EntraError) -> web.Response:
    """Answer a refusal for people."""
    return page("Signing in did not work", error.text, status=error.status)


def page(title: str, text: str, *, status: int = 200) -> web.Response:
    """Answer a page of one sentence; it may hold what the client sent."""
    written = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title></head>'
        f"<body><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p></body></html>\n"
    )
    return web.Response(text=written, status=status, content_type="text/html", headers=_PAGE_HEADERS)


def base(request: web.Request) -> str:
    """Return the base URL as the client wrote it: MSAL insists that discovery answers under the name it asked."""
    return f"{request.scheme}://{request.host}"
