"""Which folder is due when: a heap of due times, looked at by one coarse tick, so that rounds start in groups."""

from __future__ import annotations

import asyncio
import heapq
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from postroom.errors import JournalError
from postroom.pipeline.limits import is_being_cancelled
from postroom.pipeline.poll import FolderPoller
from postroom.pipeline.walk import RoundResult
from postroom.ports import LONGEST_PARK, Clock, Journal, Report

FIRST_SPREAD = 0.02
"""Seconds between the first rounds of two folders at start."""

LONGEST_BACK_OFF = 600.0
"""Seconds between two tries of a folder that keeps failing, unless its interval is longer."""


@dataclass(order=True, slots=True)
class Due:
    """A folder and when its next round is due (monotonic seconds)."""

    at: float
    order: int
    poller: FolderPoller = field(compare=False)
    interval: float = field(compare=False)
    failures: int = field(compare=False, default=0)


def next_due(subject: str, interval: float, now: float) -> float:
    """Return the next point of the folder's own grid: stable over rounds, spread over folders."""
    phase = (zlib.crc32(subject.encode()) % 10_000) / 10_000 * interval
    return ((now - phase) // interval + 1) * interval + phase


def after_failure(interval: float, failures: int, retry_after: float | None) -> float:
    """Return the seconds to wait after the `failures`-th failed round in a row."""
    wait = interval * 2.0 ** min(failures - 1, 16)
    return max(min(wait, max(LONGEST_BACK_OFF, interval)), min(retry_after or 0.0, LONGEST_PARK))


class Rounds:
    """Starts due rounds at each `tick` and reports how they went. `at_once` limits the rounds that run together.

    Attributes:
        walked: When folders (their keys) were last walked to their end; whoever stores it takes it out.
    """

    def __init__(self, *, journal: Journal, clock: Clock, report: Report, at_once: int = 64) -> None:
        self._journal = journal
        self._clock = clock
        self._report = report
        self._slots = asyncio.Semaphore(at_once)
        self._heap: list[Due] = []
        self._running: dict[str, tuple[FolderPoller, asyncio.Task[None]]] = {}
        self._generation = 0
        self.walked: dict[int, datetime] = {}

    def replace(self, pollers: Iterable[tuple[FolderPoller, float]]) -> None:
        """Watch these folders, each with its poll interval in seconds, from now on and no others.

        `stop` comes first where folders were watched before: a poller knows its folder as it was when it was made.
        """
        self._generation += 1
        now = self._clock.monotonic()
        self._heap = [
            Due(now + FIRST_SPREAD * order, order, poller, interval) for order, (poller, interval) in enumerate(pollers)
        ]
        heapq.heapify(self._heap)

    def tick(self) -> None:
        """Start the rounds that are due by now; a folder whose last round still runs waits for it."""
        now = self._clock.monotonic()
        while self._heap and self._heap[0].at <= now:
            due = heapq.heappop(self._heap)
            if due.poller.subject in self._running:
                heapq.heappush(self._heap, Due(now + 1.0, due.order, due.poller, due.interval, due.failures))
                continue
            task = asyncio.create_task(self._run(due, self._generation))
            self._running[due.poller.subject] = (due.poller, task)

    async def stop(self, limit: float) -> None:
        """Start no more rounds; let those under way store the page they are at, then cut them off."""
        self._heap.clear()
        self._generation += 1
        tasks = [task for _, task in self._running.values()]
        for poller, _ in self._running.values():
            poller.finish()
        if tasks:
            await asyncio.wait(tasks, timeout=limit)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, due: Due, generation: int) -> None:
        """Run a round and see to it that there is a next one, whatever happens in this one."""
        at = self._clock.monotonic() + after_failure(due.interval, due.failures + 1, None)
        try:
            async with self._slots:
                if generation == self._generation:
                    at = await self._round(due)
        finally:
            self._running.pop(due.poller.subject, None)
            self._report.progress("rounds")
            if generation == self._generation:
                heapq.heappush(self._heap, Due(at, due.order, due.poller, due.interval, due.failures))

    async def _round(self, due: Due) -> float:
        """Run a round and return when the next one is due."""
        poller = due.poller
        try:
            result = await poller.round()
        except asyncio.CancelledError as error:
            # Without a stop of ours it is a failure of what the round waited for, and must not end the polling.
            if is_being_cancelled():
                raise
            return await self._failed(due, error)
        except Exception as error:  # noqa: BLE001 - a defect in one folder's round must not end its polling in silence
            return await self._failed(due, error)
        due.failures = 0
        self._succeeded(poller, result)
        return next_due(poller.subject, due.interval, self._clock.monotonic())

    def _succeeded(self, poller: FolderPoller, result: RoundResult) -> None:
        self.walked[poller.folder.key] = self._clock.now()
        self._report.recovered(poller.subject)
        self._report.event(
            "round",
            mailbox=poller.folder.mailbox,
            folder=poller.folder.name,
            pages=result.pages,
            fresh=result.fresh,
            known=result.known,
            deliveries=result.deliveries,
            seconds=result.seconds,
        )

    async def _failed(self, due: Due, error: BaseException) -> float:
        """Say that a round failed, keep it with the folder, and return when to try again."""
        due.failures += 1
        retry_after = getattr(error, "retry_after", None)
        at = self._clock.monotonic() + after_failure(due.interval, due.failures, retry_after)
        folder = due.poller.folder
        self._report.problem(due.poller.subject, error, mailbox=folder.mailbox, folder=folder.name)
        if not isinstance(error, JournalError):
            try:
                await self._journal.folder_failed(folder.key, str(error) or repr(error), self._clock.now())
            except JournalError as also:
                self._report.problem("journal", also)
            else:
                self._report.recovered("journal")
        return at
