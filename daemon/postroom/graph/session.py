"""aiohttp sessions: the one that talks to Graph, and the one lent to handlers."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import aiohttp
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


def graph_session(
    trust: ssl.SSLContext | None, limits: Limits, *, user_agent: str, proxy: str = "", reuse: bool = True
) -> aiohttp.ClientSession:
    """Open a session for Graph, inside the event loop; `trust` is needed for https.

    Without `reuse` each request gets a connection of its own.
    """
    aiohttp.set_zlib_backend(isal_zlib)  # a third of zlib's CPU for a page
    keep_alive = {"keepalive_timeout": limits.keep_alive} if reuse else {"force_close": True}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust or True, limit=limits.connections, **keep_alive),
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
