"""The requests one mailbox can bear: so many in flight, so many in ten minutes, and a fence after a 429.

Graph counts per app and mailbox: 4 at once, 10,000 per 10 minutes (throttling-limits docs). Live mail goes first: a
slot and a part of the ten minutes are kept for polling, and waiters are served in order of priority. All spellings of
an address are one mailbox, and so is what a reload puts in the place of a client: see `Budgets`.
"""

from __future__ import annotations

import asyncio
import enum
import heapq
import itertools
import math
from collections import deque
from collections.abc import Iterator

from postroom.errors import Throttled
from postroom.graph.retry import throttle_backoff
from postroom.ports import LOCAL_BUDGET, Clock

_USED_UP = "Nothing, unless it lasts: then poll less often or run fewer handlers at once."
_CROWDED = (
    "If it lasts, look for handlers of this mailbox that read attachments or mails slowly, or ask for more while they "
    "read: the problem `requests` names them. Give those a lower `concurrency`, or raise `limits.in_flight`."
)

_WINDOW = 600.0
_BUCKET = 10.0


class Priority(enum.IntEnum):
    """Who goes first when a mailbox's budget is short."""

    POLL = 0
    HANDLER = 1
    REST = 2


_SHARE = {Priority.POLL: 1.0, Priority.HANDLER: 0.95, Priority.REST: 0.9}
"""The part of the ten-minute budget each may use up."""


class Budget:
    """The limiter of one mailbox: `enter` before a request, `leave` after it.

    Args:
        in_flight: Requests at once; when more than one, the last is kept for polling.
        per_window: Requests in any ten minutes.

    Attributes:
        requests: Sent so far.
        throttled: Seconds for which Graph has kept the mailbox waiting, so far.
        answered_at: When Graph last did what it was asked (monotonic seconds), -inf before that.
    """

    def __init__(self, mailbox: str, clock: Clock, *, in_flight: int = 3, per_window: int = 10_000) -> None:
        self._mailbox = mailbox
        self._clock = clock
        self._in_flight = in_flight
        self._per_window = per_window
        self._running = 0
        self._fence = 0.0
        self._strikes = 0
        self._struck_at = -math.inf
        self.requests = 0
        self.throttled = 0.0
        self.answered_at = -math.inf
        self._buckets: deque[list[float]] = deque()
        self._spent = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def limit(self, in_flight: int, per_window: int) -> None:
        """Go by other limits from now on."""
        self._in_flight, self._per_window = in_flight, per_window
        self._wake()

    @property
    def closed_for(self) -> float:
        """Seconds until a poll may be sent again: Graph has asked for a pause, or the budget is used up; 0: now."""
        return max(self._closed_for(Priority.POLL), 0.0)

    def fence(self, seconds: float) -> None:
        """Let nobody in for so many seconds: Graph said so."""
        now = self._clock.monotonic()
        self.throttled += max(0.0, now + seconds - max(self._fence, now))
        self._fence = max(self._fence, now + seconds)

    def refused(self, retry_after: float | None, sent: float) -> None:
        """Note a 429 to a request that was sent at `sent`; where Graph does not say how long, the wait grows.

        Of those that were in flight together only the first makes it grow: they are one refusal.
        """
        if sent >= self._struck_at:
            self._strikes, self._struck_at = self._strikes + 1, self._clock.monotonic()
        self.fence(retry_after or throttle_backoff(self._strikes))

    def answered(self) -> None:
        """Note that Graph has done what it was asked: it does not throttle any more."""
        self._strikes, self.answered_at = 0, self._clock.monotonic()

    async def enter(self, priority: Priority, patience: float) -> None:
        """Wait for a slot; raises Throttled when that would take, or has taken, longer than `patience` seconds."""
        deadline = self._clock.monotonic() + patience
        while True:
            closed = self._closed_for(priority)
            if closed > 0:
                if self._clock.monotonic() + closed > deadline:
                    raise self._throttled(f"its request budget is used up for another {closed:.0f} s", closed)
                await self._clock.sleep(closed)
            elif self._running < self._slots(priority):
                self._running += 1
                self._spend()
                return
            else:
                await self._turn(priority, deadline)

    def leave(self) -> None:
        """Give the slot back."""
        self._running -= 1
        self._wake()

    def _slots(self, priority: Priority) -> int:
        return self._in_flight if priority is Priority.POLL else max(1, self._in_flight - 1)

    def _closed_for(self, priority: Priority) -> float:
        """Return the seconds until fence and ten-minute budget let a request of this priority through."""
        now = self._clock.monotonic()
        while self._buckets and self._buckets[0][0] + _WINDOW <= now:
            self._spent -= int(self._buckets.popleft()[1])
        wait = self._fence - now
        if self._spent >= self._per_window * _SHARE[priority] and self._buckets:
            wait = max(wait, self._buckets[0][0] + _WINDOW - now)
        return wait

    def _spend(self) -> None:
        now = self._clock.monotonic()
        if self._buckets and now - self._buckets[-1][0] < _BUCKET:
            self._buckets[-1][1] += 1
        else:
            self._buckets.append([now, 1])
        self._spent += 1
        self.requests += 1

    async def _turn(self, priority: Priority, deadline: float) -> None:
        """Wait until a slot was given back and it is this waiter's turn to try."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._order), future))
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock.monotonic())):
                await future
        except (TimeoutError, asyncio.CancelledError) as error:
            if future.done() and not future.cancelled():  # it was this waiter's turn: pass it on
                self._wake()
            if isinstance(error, TimeoutError):
                raise self._throttled("all its slots have been taken for too long", remedy=_CROWDED) from error
            raise

    def _wake(self) -> None:
        """Tell the first waiter that may have the free slot to try for it."""
        while self._waiting:
            priority, _, future = self._waiting[0]
            if not future.done():
                if self._running >= self._slots(Priority(priority)):
                    return
                heapq.heappop(self._waiting)
                future.set_result(None)
                return
            heapq.heappop(self._waiting)

    def _throttled(self, why: str, seconds: float | None = None, remedy: str = _USED_UP) -> Throttled:
        return Throttled(
            f"A request of {self._mailbox} was not sent: {why}.",
            code=LOCAL_BUDGET,
            retry_after=seconds,
            remedy=remedy,
            mailbox=self._mailbox,
        )


class Budgets:
    """The budgets of one app in one tenant, by mailbox. They outlive a client that a reload replaces."""

    def __init__(self, clock: Clock, *, in_flight: int = 3, per_window: int = 10_000) -> None:
        self._clock = clock
        self._limits = (in_flight, per_window)
        self._known: dict[str, Budget] = {}
        self._spelled: dict[str, Budget] = {}

    def of(self, mailbox: str) -> Budget:
        """Return the mailbox's budget, the same one however the address is written."""
        budget = self._spelled.get(mailbox)
        if budget is None:
            budget = self._spelled[mailbox] = self._one(mailbox.strip().casefold())
        return budget

    def _one(self, mailbox: str) -> Budget:
        in_flight, per_window = self._limits
        if mailbox not in self._known:
            self._known[mailbox] = Budget(mailbox, self._clock, in_flight=in_flight, per_window=per_window)
        return self._known[mailbox]

    def limit(self, in_flight: int, per_window: int) -> None:
        """Go by other limits from now on, in every mailbox."""
        self._limits = (in_flight, per_window)
        for budget in self._known.values():
            budget.limit(in_flight, per_window)

    def __iter__(self) -> Iterator[tuple[str, Budget]]:
        """Yield the mailboxes, as first written but in lower case, with their budgets."""
        return iter(self._known.items())
