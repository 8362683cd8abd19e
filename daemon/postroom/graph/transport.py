"""One exchange with Graph: the sessions, the pinned host, the size limit. No budget, no retry, no meaning."""

from __future__ import annotations

import asyncio
import itertools
import uuid

import aiohttp
from yarl import URL

from postroom.errors import Refused
from postroom.graph.call import Call
from postroom.graph.faults import FAULTS, fault
from postroom.graph.network import proxy_for, tls_context
from postroom.graph.pin import Pin
from postroom.graph.session import Limits, graph_session
from postroom.tenant import Tenant

_LONGEST_ERROR = 64 * 1024
_PIECE = 64 * 1024


class Transport:
    """The connections of one tenant; raises Refused when its Graph URL is neither https nor on loopback."""

    def __init__(self, tenant: Tenant, limits: Limits, user_agent: str) -> None:
        self.pin = Pin(tenant.cloud.graph)
        self._tenant = tenant
        self._limits = limits
        self._user_agent = user_agent
        self._id_prefix = str(uuid.uuid4())[:24]
        self._ids = itertools.count(1)
        self._one_large = asyncio.Semaphore()
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._whole = aiohttp.ClientTimeout(total=limits.total, sock_connect=limits.connect, sock_read=limits.read)
        self._streamed = aiohttp.ClientTimeout(total=limits.stream, sock_connect=limits.connect, sock_read=limits.read)

    async def open(self) -> None:
        """Make the sessions, no connection yet; raises Refused when the ca_file cannot be read."""
        root = self._tenant.cloud.graph
        try:
            trust = tls_context(self._tenant.cloud) if root.startswith("https:") else None
        except OSError as error:
            raise Refused(
                f"The certificate authorities of cloud {self._tenant.cloud.name} cannot be read: {error}.",
                code="NoAuthorities",
                remedy="Mend the cloud's ca_file: a PEM file that Postroom may read.",
            ) from error
        proxy = proxy_for(root, self._tenant.proxy)
        self._kept = graph_session(trust, self._limits, user_agent=self._user_agent, proxy=proxy)
        self._fresh = graph_session(trust, self._limits, user_agent=self._user_agent, proxy=proxy, reuse=False)

    async def close(self) -> None:
        """Close every connection; requests under way fail."""
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()

    async def send(self, call: Call, authorization: str, *, fresh: bool, streamed: bool) -> aiohttp.ClientResponse:
        """Send the request and return the answer, its body unread, to be released; raises Refused or Unavailable.

        Args:
            call: What to send.
            authorization: The token's header; only the pinned host ever gets it.
            fresh: On a new connection, as Graph asks for after a 503 (best-practices docs).
            streamed: With the longer time limit.
        """
        self.pin.check(call.url, call.mailbox)
        session = self._fresh if fresh else self._kept
        if session is None:
            raise RuntimeError("the Graph client is not open")
        try:
            return await session.request(
                call.method,
                URL(call.url, encoded=True),
                headers={"Authorization": authorization, "client-request-id": self._request_id(), **call.headers},
                data=call.body,
                allow_redirects=False,
                timeout=self._streamed if streamed else self._whole,
            )
        except FAULTS as error:
            raise fault(call, error) from error

    async def whole(self, call: Call, response: aiohttp.ClientResponse) -> bytes:
        """Read the body; raises Refused when it is larger than the limit once unpacked, and Unavailable."""
        limit = self._limits.single if call.single else self._limits.body
        try:
            body = await (self._single(response) if call.single else _read(response, limit))
        except FAULTS as error:
            raise fault(call, error) from error
        if len(body) > limit:
            raise _too_large(call, limit)
        return body

    async def _single(self, response: aiohttp.ClientResponse) -> bytes:
        """Read an answer about one message; of those that turn out to be large, one at a time."""
        body = await _read(response, self._limits.large)
        if len(body) <= self._limits.large:
            return body
        async with asyncio.timeout(self._limits.total):
            await self._one_large.acquire()
        try:
            return body + await _read(response, self._limits.single - len(body))
        finally:
            self._one_large.release()

    async def piece(self, call: Call, response: aiohttp.ClientResponse) -> bytes:
        """Read the next piece, 64 KiB at most; empty at the end; raises Unavailable."""
        try:
            return await response.content.read(_PIECE)
        except FAULTS as error:
            raise fault(call, error) from error

    def _request_id(self) -> str:
        """Make a GUID that was never used before: random for each client, counted from there."""
        return f"{self._id_prefix}{next(self._ids):012x}"


async def error_body(response: aiohttp.ClientResponse) -> bytes:
    """Read what came of an error's body, at most 64 KiB: if it breaks off, the status says enough."""
    try:
        body = await _read(response, _LONGEST_ERROR)
    except FAULTS:
        return b""
    return body[:_LONGEST_ERROR]


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read to the end, or until there is more than `limit` bytes."""
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            break
    return b"".join(pieces)


def _too_large(call: Call, limit: int) -> Refused:
    """Return the error of an answer that is larger than `limit`: to ask again is of no use."""
    code, remedy = "AnswerTooLarge", "Ask for smaller pages."
    if call.single:
        code = "MessageTooLarge"
        remedy = "Use rules and handlers that need neither this mail's text nor its headers, such as `save_message`."
    return Refused(
        f"While {call.doing}, Graph sent more than {limit} bytes.", code=code, remedy=remedy, mailbox=call.mailbox
    )
