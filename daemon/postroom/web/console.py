"""The web application: four read-only pages, and how to serve them."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from postroom.web.page import STYLE_HASH, render

Snapshot = Callable[[], dict[str, Any]]
"""What `observe.Health.snapshot` returns."""

LONGEST_REQUEST = 4096
STOP_LIMIT = 2.0
"""Seconds that requests under way are given when the console stops."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "postroom",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def build_console(snapshot: Snapshot, metrics: Callable[[], bytes]) -> web.Application:
    """Build the application.

    Args:
        snapshot: Returns health as JSON types, with `status` (ok, degraded, failing) and `phase`.
        metrics: Returns the metrics in Prometheus' text format.
    """
    app = web.Application(middlewares=[_own_name_only], client_max_size=LONGEST_REQUEST)
    app.on_response_prepare.append(_harden)
    app.router.add_get("/", functools.partial(_page, snapshot))
    app.router.add_get("/healthz", functools.partial(_healthz, snapshot))
    app.router.add_get("/readyz", functools.partial(_readyz, snapshot))
    app.router.add_get("/metrics", functools.partial(_metrics, metrics))
    return app


@contextlib.asynccontextmanager
async def serve(app: web.Application, host: str = "127.0.0.1", port: int = 8642) -> AsyncIterator[tuple[str, int]]:
    """Serve `app` while the context lasts; yields the address in use. Port 0 picks a free one. May raise OSError."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=STOP_LIMIT)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        address = runner.addresses[0]
        yield address[0], address[1]
    finally:
        await runner.cleanup()


async def _page(snapshot: Snapshot, _: web.Request) -> web.Response:
    return web.Response(text=render(snapshot()), content_type="text/html")


async def _healthz(snapshot: Snapshot, _: web.Request) -> web.Response:
    """200 while mail gets handled, if with problems; 503 when none can be."""
    health = snapshot()
    return web.json_response(health, status=503 if health["status"] == "failing" else 200)


async def _readyz(snapshot: Snapshot, _: web.Request) -> web.Response:
    phase = snapshot()["phase"]
    return web.json_response({"phase": phase}, status=200 if phase == "running" else 503)


async def _metrics(metrics: Callable[[], bytes], _: web.Request) -> web.Response:
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    return web.Response(body=metrics(), headers=headers)


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


@web.middleware
async def _own_name_only(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """On loopback answer only to loopback names: a web page whose name was rebound to 127.0.0.1 must not read this."""
    if _arrived_on_loopback(request) and not is_loopback(_name(request.host)):
        raise web.HTTPMisdirectedRequest(text="The console answers to localhost only.\n")
    response: web.StreamResponse = await handler(request)
    return response


def _arrived_on_loopback(request: web.Request) -> bool:
    local = request.transport.get_extra_info("sockname") if request.transport else None
    return isinstance(local, tuple) and is_loopback(local[0])


def _name(host: str) -> str:
    """Return the host without its port; an IPv6 address without its brackets."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.rsplit(":", 1)[0]


def is_loopback(name: str) -> bool:
    """Say whether `name` is ``localhost`` or an address of this machine's loopback interface."""
    try:
        return name.lower() == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
