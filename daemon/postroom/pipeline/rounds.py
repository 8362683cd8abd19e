"""Which folder is due when: a heap of due times, looked at by one coarse tick, so that rounds start in groups."""

from __future__ import annotations

import asyncio
import heapq
import zlib
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from postroom.errors import JournalError, PostroomError, Unavailable
from postroom.pipeline.lanes import Lanes, Place
from postroom.pipeline.limits import is_being_cancelled, spell
from postroom.pipeline.parking import Parked, Parking, explained
from postroom.pipeline.poll import FolderPoller
from postroom.pipeline.walk import RoundResult
from postroom.ports import LONGEST_RETRY_AFTER, Clock, Journal, Report

FIRST_SPREAD = 0.02
"""Seconds between the first rounds of two folders at start."""

LONGEST_BACK_OFF = 600.0
"""Seconds between two tries of a folder that keeps failing, unless its interval is longer."""

STUCK = 600.0
"""Seconds without a page, or a message read, after which a round is ended: twice what one step may take."""

LOOK = 5.0
"""Seconds between two looks at how the rounds under way get on."""

LONG = 10.0
"""Seconds after which a round counts as slow; others then need not wait for its place."""

PROGRESS = "rounds"
"""What the watchdog knows the polling as: fed by rounds that end by themselves or get on, and by there being none."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A folder to be watched; `interval` is the seconds from one round to the next."""

    poller: FolderPoller
    interval: float
    tenant: str = ""


@dataclass(order=True, slots=True)
class Due:
    """A folder and when its next round is due (monotonic seconds); `slow` when the last one failed or took long."""

    at: float
    order: int
    watch: Watch = field(compare=False)
    failures: int = field(compare=False, default=0)
    slow: bool = field(compare=False, default=False)

    @property
    def subject(self) -> str:
        """What problems of the folder are reported under."""
        return self.watch.poller.subject

    @property
    def mailbox(self) -> str:
        """The mailbox's address."""
        return self.watch.poller.folder.mailbox


@dataclass(slots=True)
class _Running:
    """A round under way: since when, at which step it was seen last, and when that was (monotonic seconds)."""

    due: Due
    place: Place
    began: float
    steps: int
    moved: float
    task: asyncio.Task[None] | None = None
    is_stuck: bool = False


def next_due(subject: str, interval: float, now: float) -> float:
    """Return the next point of the folder's own grid: stable over rounds, spread over folders."""
    phase = (zlib.crc32(subject.encode()) % 10_000) / 10_000 * interval
    return ((now - phase) // interval + 1) * interval + phase


def after_failure(interval: float, failures: int, retry_after: float | None) -> float:
    """Return the seconds to wait after the `failures`-th failed round in a row."""
    wait = interval * 2.0 ** min(failures - 1, 16)
    return max(min(wait, max(LONGEST_BACK_OFF, interval)), min(retry_after or 0.0, LONGEST_RETRY_AFTER))


class Rounds:
    """Starts due rounds at each `tick` and reports how they went.

    No round waits for one of another tenant, nor for slow or failing ones of its own (`Lanes`); one that gets on no
    more is ended; a mailbox that cannot be used as a whole is parked.

    Args:
        ended: Told of each round that ended well.

    Attributes:
        walked: When folders (their keys) were last walked to their end; whoever stores it takes it out.
        parking: Which mailboxes are parked.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        report: Report,
        lanes: Lanes | None = None,
        ended: Callable[[FolderPoller, RoundResult], None] | None = None,
    ) -> None:
        self._ended = ended
        self._journal = journal
        self._clock = clock
        self._report = report
        self._lanes = lanes or Lanes()
        self._heap: list[Due] = []
        self._waiting: dict[tuple[str, bool], deque[Due]] = defaultdict(deque)
        self._running: dict[str, _Running] = {}
        self._generation = 0
        self._look_at = 0.0
        self._is_wedged = False
        self.walked: dict[int, datetime] = {}
        self.parking = Parking(clock)

    def replace(self, watched: Iterable[Watch]) -> None:
        """Watch these folders from now on and no others.

        `stop` comes first where folders were watched before: a poller knows its folder as it was when it was made.
        """
        self._generation += 1
        now = self._clock.monotonic()
        self._heap = [Due(now + FIRST_SPREAD * order, order, watch) for order, watch in enumerate(watched)]
        heapq.heapify(self._heap)
        self._waiting.clear()
        self.parking.keep({due.mailbox for due in self._heap})

    def tick(self) -> None:
        """Start the rounds that are due by now; a folder whose last round still runs waits for it."""
        now = self._clock.monotonic()
        while self._heap and self._heap[0].at <= now:
            due = heapq.heappop(self._heap)
            if due.subject in self._running:
                self._again(due, now + 1.0)
            elif (later := self.parking.not_before(due.mailbox, due.subject)) is not None:
                self._again(due, max(later, now + 1.0))
            else:
                self._waiting[due.watch.tenant, due.slow].append(due)
        if self._waiting:
            self._admit()
        if now >= self._look_at:
            self._look_at = now + LOOK
            self._look(now)

    def delay(self, mailbox: str, folder: str) -> str:
        """Say what keeps the round of a folder from ending, as far as that is known here; else empty."""
        subject, now = f"mailbox {mailbox}/{folder}", self._clock.monotonic()
        if (running := self._running.get(subject)) is not None:
            return f"its round has been under way for {spell(now - running.began)}"
        if any(due.subject == subject for queue in self._waiting.values() for due in queue):
            return "its round waits for others of its mailbox or tenant to end"
        return ""

    async def stop(self, limit: float) -> None:
        """Start no more rounds; let those under way store the page they are at, then cut them off."""
        self._heap.clear()
        self._waiting.clear()
        self._generation += 1
        tasks = [running.task for running in self._running.values() if running.task is not None]
        for running in self._running.values():
            running.due.watch.poller.finish()
        for wait in (limit, 1.0):  # what does not even notice that it is cut off is not waited for
            if tasks:
                await asyncio.wait(tasks, timeout=wait)
            for task in tasks:
                task.cancel()

    def _again(self, due: Due, at: float) -> None:
        heapq.heappush(self._heap, Due(at, due.order, due.watch, due.failures, due.slow))

    def _admit(self) -> None:
        """Start those that wait and for whom there is a place, in their order."""
        for (tenant, slow), queue in list(self._waiting.items()):
            left: deque[Due] = deque()
            while queue and not self._lanes.is_full(tenant, slow=slow):
                due = queue.popleft()
                place = self._lanes.enter(tenant, due.mailbox, slow=slow)
                if place is None:
                    left.append(due)
                else:
                    self._begin(due, place)
            left.extend(queue)
            if left:
                self._waiting[tenant, slow] = left
            else:
                del self._waiting[tenant, slow]

    def _begin(self, due: Due, place: Place) -> None:
        now = self._clock.monotonic()
        running = _Running(due, place, now, due.watch.poller.steps, now)
        self._running[due.subject] = running
        running.task = asyncio.create_task(self._run(running, self._generation))

    def _look(self, now: float) -> None:
        """See whether the rounds under way get on: end what is stuck, and let others have the places of the slow."""
        moved = not (self._running or self._waiting or self._is_wedged)
        for running in self._running.values():
            steps = running.due.watch.poller.steps
            if steps != running.steps:
                running.steps, running.moved, moved = steps, now, True
            elif now - running.moved > STUCK and not running.is_stuck and running.task is not None:
                running.is_stuck = self._is_wedged = running.task.cancel()
            if now - running.began > LONG and self._lanes.slow_down(running.place):
                running.due.slow = True
        if moved:
            self._report.progress(PROGRESS)
        if self._waiting:
            self._admit()

    async def _run(self, running: _Running, generation: int) -> None:
        """Run a round and see to it that there is a next one, whatever happens in this one."""
        due = running.due
        at = self._clock.monotonic() + after_failure(due.watch.interval, due.failures + 1, None)
        try:
            at = await self._round(running)
        finally:
            del self._running[due.subject]
            self._lanes.leave(running.place)
            self.parking.given_up(due.mailbox, due.subject)
            if not running.is_stuck:
                self._is_wedged = False
                self._report.progress(PROGRESS)
            if generation == self._generation:
                due.slow = due.failures > 0 or self._clock.monotonic() - running.began > LONG
                self._again(due, at)
                self._admit()

    async def _round(self, running: _Running) -> float:
        """Run a round and return when the next one is due."""
        due = running.due
        try:
            result = await due.watch.poller.round()
        except asyncio.CancelledError as error:
            # Without a stop of ours it is a failure of what the round waited for, and must not end the polling.
            if not is_being_cancelled():
                return await self._failed(due, error)
            if not running.is_stuck:
                raise
            asyncio.current_task().uncancel()  # type: ignore[union-attr] # within a task there is one
            return await self._failed(due, _stuck(due))
        except Exception as error:  # noqa: BLE001 - a defect in one folder's round must not end its polling in silence
            return await self._failed(due, error)
        due.failures = 0
        await self._succeeded(due, result)
        return next_due(due.subject, due.watch.interval, self._clock.monotonic())

    async def _succeeded(self, due: Due, result: RoundResult) -> None:
        poller = due.watch.poller
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
            mode=poller.folder.mode,
        )
        if self._ended is not None:
            self._ended(poller, result)
        if self.parking.answered(due.mailbox):
            await self._return(due)

    async def _failed(self, due: Due, error: BaseException) -> float:
        """Say that a round failed, keep it with the folder, and return when to try again."""
        due.failures += 1
        folder = due.watch.poller.folder
        was_parked = due.mailbox in self.parking
        parked = self.parking.failed(due.mailbox, due.subject, error)
        if parked is not None:
            self._report.problem(f"mailbox {due.mailbox}", explained(due.mailbox, parked), mailbox=due.mailbox)
            await self._note_parked(due, parked, first=not was_parked)
            return parked.probe_at
        if was_parked:
            await self._return(due)
        self._report.problem(due.subject, error, mailbox=folder.mailbox, folder=folder.name)
        await self._keep(due, error)
        retry_after = getattr(error, "retry_after", None)
        return self._clock.monotonic() + after_failure(due.watch.interval, due.failures, retry_after)

    async def _note_parked(self, due: Due, parked: Parked, *, first: bool) -> None:
        await self._keep(due, parked.present)
        if first:
            await self._mark(due, self._clock.now())

    async def _return(self, due: Due) -> None:
        """Say that a parked mailbox works again, and walk all its folders at once."""
        self._report.recovered(f"mailbox {due.mailbox}")
        now = self._clock.monotonic()
        for each in self._heap:
            if each.mailbox == due.mailbox:
                each.at, each.failures, each.slow = now, 0, False
        heapq.heapify(self._heap)
        await self._mark(due, None)

    async def _mark(self, due: Due, at: datetime | None) -> None:
        await self._told(self._journal.parked(due.watch.poller.folder.key, at))

    async def _keep(self, due: Due, error: BaseException) -> None:
        if isinstance(error, JournalError):
            return  # whoever reads it there hears of the journal by then
        key, text = due.watch.poller.folder.key, str(error) or repr(error)
        await self._told(self._journal.folder_failed(key, text, self._clock.now()))

    async def _told(self, telling: Awaitable[None]) -> None:
        """Tell the journal something that can be done without; that it could not be told is reported."""
        try:
            await telling
        except JournalError as error:
            self._report.problem("journal", error)
        else:
            self._report.recovered("journal")


def _stuck(due: Due) -> PostroomError:
    return Unavailable(
        f"The round of {due.subject} got no page for {spell(STUCK)} and was ended.",
        code="Stuck",
        remedy="It is tried again later; nothing is lost. If it lasts, restart Postroom and report it.",
        mailbox=due.mailbox,
    )
