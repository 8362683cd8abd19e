"""aiohttp sessions: the one that talks to Graph, and the one lent to handlers."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from isal import isal_zlib
from yarl import URL

from postroom.graph.network import is_loopback, proxy_for

MIB = 1024 * 1024

READ_AHEAD = MIB // 4
"""Bytes of an answer, unpacked, that may wait to be read, twice as many at the most.

A page of 50 mails has about 100 KiB: with aiohttp's own 64 KiB reading stops and starts again within each of them.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits in seconds, sizes in bytes, of talking to Graph.

    Attributes:
        connect: For one TCP and TLS connection.
        read: For silence in the middle of an answer.
        total: For one request with its answer; `stream` is that for content that may be large.
        wait: For all waiting between tries and for a slot, together, before a request fails.
        tries: Of one request, the first included.
        body: Of a JSON answer, unpacked.
        single: Of one about a single message: its text, its headers. Each is in memory several times over.
        large: Of one about a single message, from which only one at a time is read on by a client.
        connections: Open at once, over all mailboxes; so many that slow mailboxes leave others some.
        keep_alive: For an unused connection; longer than mailboxes are polled, for a new one costs six times a poll.
    """

    connect: float = 10.0
    read: float = 30.0
    total: float = 100.0
    stream: float = 1800.0
    wait: float = 60.0
    tries: int = 4
    body: int = 64 * MIB
    single: int = 16 * MIB
    large: int = MIB // 2
    connections: int = 512
    keep_alive: float = 120.0


FAREWELL = 1.0
"""Seconds that the other side is given at most to say goodbye to connections of single use."""


class _SingleUse(aiohttp.TCPConnector):
    """Closes each connection after its answer, and has all of them closed when it is.

    aiohttp waits for those that it keeps, not for those that it has begun to close: a loop that ended then would leave
    them open.
    """

    def __init__(self, trust: ssl.SSLContext | None, limit: int) -> None:
        super().__init__(ssl=trust or True, limit=limit, force_close=True)
        self._left: set[asyncio.Future[None]] = set()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's name
    ) -> Connection:
        """Make a connection, and note when it is closed."""
        connection = await super().connect(req, traces, timeout)
        if (protocol := connection.protocol) is not None and (closed := protocol.closed) is not None:
            self._left.add(closed)
            closed.add_done_callback(self._done)
        return connection

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close what is open, and wait a while for what is being closed."""
        await super().close(abort_ssl=abort_ssl)
        if self._left:
            await asyncio.wait(self._left, timeout=FAREWELL)

    def _done(self, closed: asyncio.Future[None]) -> None:
        self._left.discard(closed)
        if not closed.cancelled():
            closed.exception()  # who asked for the answer was told; here it is only over


def graph_session(
    trust: ssl.SSLContext | None, limits: Limits, *, user_agent: str, proxy: str = "", reuse: bool = True
) -> aiohttp.ClientSession:
    """Open a session for Graph, inside the event loop; `trust` is needed for https.

    Without `reuse` each request gets a connection of its own.
    """
    aiohttp.set_zlib_backend(isal_zlib)  # a third of zlib's CPU for a page
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust or True, limit=limits.connections, keepalive_timeout=limits.keep_alive)
        if reuse
        else _SingleUse(trust, limits.connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "gzip"},
        proxy=proxy or None,
        read_bufsize=READ_AHEAD,
    )


def handler_session() -> aiohttp.ClientSession:
    """Open the session that handlers share for calls to other systems; it carries no token. Call it in the loop.

    The environment's proxies are used, but never for this machine; no netrc is read.
    """
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=300.0, sock_connect=10.0, sock_read=60.0),
        headers={"User-Agent": "postroom"},
        middlewares=(_through_proxy,),
    )


async def _through_proxy(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Choose the proxy host by host, redirects included; one the caller named stays, except for this machine.

    aiohttp's own `trust_env` would send what is meant for this machine to HTTP_PROXY, and read netrc.
    """
    if is_loopback(request.url.host or ""):
        request.update_proxy(None, None, None)
    elif request.proxy is None and (proxy := proxy_for(str(request.url))).startswith(("http://", "https://")):
        request.update_proxy(URL(proxy), None, None)
    return await send(request)
