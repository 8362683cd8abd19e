"""Puts a web application behind a bound socket, for as long as an exit stack lives."""

from __future__ import annotations

import contextlib
import socket
import ssl

from aiohttp import web

GRACE = 0.5
"""Seconds that requests under way are given when a listener stops."""

LONGEST_LINE = 1024 * 1024
"""Bytes of a request line or a header that is read at all, so that the application can say what is wrong with it."""


async def serve(
    stack: contextlib.AsyncExitStack, application: web.Application, sock: socket.socket, tls: ssl.SSLContext | None
) -> None:
    """Begin to serve `application`; it ends with `stack`."""
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=GRACE,
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_LINE,
    )
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.SockSite(runner, sock, ssl_context=tls).start()
