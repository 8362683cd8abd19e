"""HTTP to Graph for one tenant: token, budgets, retries; every failure is a typed error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import aiohttp

from postroom import __version__
from postroom.errors import GraphError, Throttled, Unavailable
from postroom.graph.budget import Budgets
from postroom.graph.call import Call, Exchange
from postroom.graph.classify import classify
from postroom.graph.genuine import foreign, is_graphs
from postroom.graph.retry import wait_before_retry
from postroom.graph.session import Limits
from postroom.graph.transport import Transport, error_body
from postroom.ports import Clock, Token
from postroom.tenant import Tenant

USER_AGENT = f"postroom/{__version__}"

ResultT_co = TypeVar("ResultT_co", covariant=True)


class _Attempt(Protocol[ResultT_co]):
    """One try of a request."""

    def __call__(self, authorization: str, *, fresh: bool) -> Coroutine[Any, Any, ResultT_co]: ...


class GraphClient:
    """The requests of one tenant's mailboxes.

    Args:
        budgets: What each mailbox can bear, shared with whoever else is the same app; without, its own.
        in_flight: Requests at once for a mailbox where it has budgets of its own.
        on_exchange: Called after each exchange, failed ones included.
        on_retry: Called with ``mailbox, status, code, attempt, wait, request_id`` before a request is sent again.

    Raises:
        Refused: The cloud's Graph URL is neither https nor on loopback.
    """

    def __init__(
        self,
        tenant: Tenant,
        token: Token,
        *,
        clock: Clock,
        budgets: Budgets | None = None,
        in_flight: int = 3,
        user_agent: str = USER_AGENT,
        on_exchange: Callable[[Exchange], None] | None = None,
        on_retry: Callable[..., None] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.root = f"{tenant.cloud.graph.rstrip('/')}/v1.0"
        self._token = token
        self._clock = clock
        self.budgets = budgets or Budgets(clock, in_flight=in_flight)
        self._on_exchange = on_exchange
        self._on_retry = on_retry
        self._limits = limits or Limits()
        self._transport = Transport(tenant, self._limits, user_agent)

    @property
    def clock(self) -> Clock:
        """The clock that the client goes by."""
        return self._clock

    async def open(self) -> None:
        """Get ready, no connection yet; raises Refused when the ca_file cannot be read."""
        await self._transport.open()

    async def close(self) -> None:
        """Close every connection; requests under way fail."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def check_link(self, link: str, mailbox: str) -> None:
        """Raise Refused unless the link leads to this client's Graph host."""
        self._transport.pin.check(link, mailbox)

    async def fetch(self, call: Call) -> bytes:
        """Send the request, again where that helps, and return the whole answer; raises GraphError or AuthError."""

        async def attempt(authorization: str, *, fresh: bool) -> bytes:
            started = self._clock.monotonic()
            response = await self._answer(call, authorization, fresh=fresh)
            try:
                body = await self._transport.whole(call, response)
            finally:
                self._release(call, response)
            self._record(call, response, body, started)
            return body

        return await self._persist(call, attempt)

    async def stream(self, call: Call) -> AsyncGenerator[bytes, None]:
        """Yield the answer in pieces of at most 64 KiB; tried again only until the first piece has come.

        A slot of the mailbox's budget is taken until the iterator is used up or closed, or the time limit for streams
        is over: one that nobody reads on must not keep it.
        """

        async def attempt(authorization: str, *, fresh: bool) -> tuple[aiohttp.ClientResponse, bytes]:
            started = self._clock.monotonic()
            response = await self._answer(call, authorization, fresh=fresh, streamed=True)
            try:
                first = await self._transport.piece(call, response)
            except BaseException:
                self._release(call, response)
                raise
            self._record(call, response, None, started)
            return response, first

        response, piece = await self._persist(call, attempt)
        lease = _Lease(lambda: self._release(call, response), response.close, self._limits.stream)
        try:
            while piece:
                yield piece
                piece = await self._transport.piece(call, response)
        finally:
            lease.end()

    async def _persist(self, call: Call, attempt: _Attempt[ResultT_co]) -> ResultT_co:
        """Try until it works or trying again is of no use; a refused token is renewed once."""
        left, tries, fresh, renewed = self._limits.wait, 1, False, False
        while True:
            authorization = await self._token.header()
            try:
                return await attempt(authorization, fresh=fresh)
            except GraphError as error:
                if error.status == 401 and not renewed and await self._renewed(authorization):  # noqa: PLR2004 - HTTP
                    renewed = True
                    continue
                wait = wait_before_retry(error, tries, repeatable=call.repeatable, tries=self._limits.tries, left=left)
                if wait is None:
                    raise
                fresh = error.status in (0, 503)
                self._tell_retry(call, error, tries, wait)
            await self._clock.sleep(wait)
            left -= wait
            tries += 1

    async def _renewed(self, refused: str) -> bool:
        """Let nobody use a refused token again; False when there is no other: the error is the mailbox's then."""
        self._token.drop(refused)
        return await self._token.header() != refused

    async def _answer(
        self, call: Call, authorization: str, *, fresh: bool, streamed: bool = False
    ) -> aiohttp.ClientResponse:
        """Return a successful answer, to be given back by `_release`; raises GraphError or AuthError."""
        budget = self.budgets.of(call.mailbox)
        await budget.enter(call.priority, self._limits.wait)
        started = self._clock.monotonic()
        try:
            response = await self._transport.send(call, authorization, fresh=fresh, streamed=streamed)
            if is_graphs(call, response.status, response.headers):
                budget.answered()
                return response
            error = await self._failure(call, response, started)
        except BaseException:
            budget.leave()
            raise
        budget.leave()
        if isinstance(error, Throttled):  # the whole mailbox waits
            budget.refused(error.retry_after, started)
        elif isinstance(error, Unavailable) and error.retry_after:  # as for 429 (best-practices docs)
            budget.fence(error.retry_after)
        raise error

    def _release(self, call: Call, response: aiohttp.ClientResponse) -> None:
        """Let go of the connection, which is closed unless the answer was read to its end, and of the slot."""
        response.release()
        self.budgets.of(call.mailbox).leave()

    async def _failure(self, call: Call, response: aiohttp.ClientResponse, started: float) -> GraphError:
        try:
            body = await error_body(response)
        finally:
            response.release()
        self._record(call, response, body, started)
        if response.status < 300:  # noqa: PLR2004 - 2xx
            return foreign(call, response.status, response.headers)
        return classify(
            response.status, response.headers, body, doing=call.doing, now=self._clock.now(), mailbox=call.mailbox
        )

    def _tell_retry(self, call: Call, error: GraphError, attempt: int, wait: float) -> None:
        if self._on_retry is not None:
            self._on_retry(
                mailbox=call.mailbox,
                status=error.status,
                code=error.code,
                attempt=attempt,
                wait=round(wait, 3),
                request_id=error.request_id,
            )

    def _record(self, call: Call, response: aiohttp.ClientResponse, body: bytes | None, started: float) -> None:
        if self._on_exchange is None:
            return
        sent = {name: value for name, value in response.request_info.headers.items() if name != "Authorization"}
        seconds = self._clock.monotonic() - started
        self._on_exchange(
            Exchange(
                call.method,
                call.url,
                call.mailbox,
                sent,
                call.body,
                response.status,
                dict(response.headers),
                body,
                seconds,
            )
        )


class _Lease:
    """A slot that is given back once: by `end`, or with its connection cut when the time is up."""

    def __init__(self, give_back: Callable[[], None], cut: Callable[[], None], seconds: float) -> None:
        self._give_back: Callable[[], None] | None = give_back
        self._cut = cut
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def end(self) -> None:
        self._timer.cancel()
        if (give_back := self._give_back) is not None:
            self._give_back = None
            give_back()

    def _expire(self) -> None:
        self._cut()
        self.end()
