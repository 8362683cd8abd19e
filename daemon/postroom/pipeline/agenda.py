"""The folders that are watched, in the order in which their rounds are due, and those that wait for a place."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from postroom.pipeline.due import Due, Watch
from postroom.pipeline.lanes import Lanes, Place

FIRST_SPREAD = 0.02
"""Seconds between the first rounds of two folders at start."""


class Agenda:
    """A heap of due times, and behind it a queue for each tenant and kind of place (`Lanes`). Knows no time itself."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._heap: list[Due] = []
        self._waiting: dict[tuple[str, bool], deque[Due]] = defaultdict(deque)

    def replace(self, watched: Iterable[Watch], now: float) -> None:
        """Plan a first round of each of these folders, one shortly after the other, and none of others any more."""
        self._heap = [Due(now + FIRST_SPREAD * order, order, watch) for order, watch in enumerate(watched)]
        heapq.heapify(self._heap)
        self._waiting.clear()

    def mailboxes(self) -> set[str]:
        """Return the mailboxes of which a round is planned."""
        return {due.mailbox for due in self._heap}

    def again(self, due: Due, at: float) -> None:
        """Plan another round of a folder."""
        heapq.heappush(self._heap, Due(at, due.order, due.watch, due.failures, due.slow))

    def take(self, now: float) -> Iterator[Due]:
        """Take out what is due by `now`; whoever takes it plans it again, or has it wait for a place."""
        while self._heap and self._heap[0].at <= now:
            yield heapq.heappop(self._heap)

    def hasten(self, mailbox: str, now: float) -> None:
        """Make all planned rounds of a mailbox due, as if none had ever failed."""
        for due in self._heap:
            if due.mailbox == mailbox:
                due.at, due.failures, due.slow = now, 0, False
        heapq.heapify(self._heap)

    def wait(self, due: Due) -> None:
        """Have a round wait for a place."""
        self._waiting[due.watch.tenant, due.slow].append(due)

    @property
    def has_waiting(self) -> bool:
        """Whether any round waits for a place."""
        return bool(self._waiting)

    def is_waiting(self, subject: str) -> bool:
        """Say whether a folder's round waits for a place."""
        return any(due.subject == subject for queue in self._waiting.values() for due in queue)

    def admit(self) -> list[tuple[Due, Place]]:
        """Give places to those that wait and for whom there is one, in their order."""
        admitted: list[tuple[Due, Place]] = []
        for (tenant, slow), queue in list(self._waiting.items()):
            left: deque[Due] = deque()
            while queue and not self._lanes.is_full(tenant, slow=slow):
                due = queue.popleft()
                place = self._lanes.enter(tenant, due.mailbox, slow=slow)
                if place is None:
                    left.append(due)
                else:
                    admitted.append((due, place))
            left.extend(queue)
            if left:
                self._waiting[tenant, slow] = left
            else:
                del self._waiting[tenant, slow]
        return admitted
