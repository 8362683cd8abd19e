"""Rounds under way: one coarse tick starts those that are due in groups, and sees to it that they get on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from postroom.errors import PostroomError, Unavailable
from postroom.pipeline.aftermath import Aftermath
from postroom.pipeline.agenda import Agenda
from postroom.pipeline.due import Due, Watch, after_failure
from postroom.pipeline.lanes import Lanes, Place
from postroom.pipeline.limits import is_being_cancelled, spell
from postroom.pipeline.parking import Parking
from postroom.pipeline.poll import FolderPoller
from postroom.pipeline.walk import RoundResult
from postroom.ports import Clock, Journal, Report

STUCK = 600.0
"""Seconds without a page, or a message read, after which a round is ended: twice what one step may take."""

LOOK = 5.0
"""Seconds between two looks at how the rounds under way get on."""

LONG = 10.0
"""Seconds after which a round counts as slow; others then need not wait for its place."""

PROGRESS = "rounds"
"""What the watchdog knows the polling as: fed by rounds that end by themselves or get on, and by there being none."""


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


class Rounds:
    """Starts due rounds at each `tick` and reports how they went.

    No round waits for one of another tenant, nor for slow or failing ones of its own (`Lanes`); one that gets on no
    more is ended; a mailbox that cannot be used as a whole is parked.

    Args:
        ended: Told of each round that ended well.
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
        self._clock = clock
        self._report = report
        self._lanes = lanes or Lanes()
        self._agenda = Agenda(self._lanes)
        self._aftermath = Aftermath(self._agenda, journal=journal, clock=clock, report=report, ended=ended)
        self._running: dict[str, _Running] = {}
        self._generation = 0
        self._look_at = 0.0
        self._is_wedged = False

    @property
    def walked(self) -> dict[int, datetime]:
        """When folders (their keys) were last walked to their end; whoever stores it takes it out."""
        return self._aftermath.walked

    @property
    def parking(self) -> Parking:
        """Which mailboxes are parked."""
        return self._aftermath.parking

    def replace(self, watched: Iterable[Watch]) -> None:
        """Watch these folders from now on and no others.

        `stop` comes first where folders were watched before: a poller knows its folder as it was when it was made.
        """
        self._generation += 1
        watches = list(watched)
        self._agenda.replace(watches, self._clock.monotonic())
        self._aftermath.keep([each.poller.subject for each in watches])
        self.parking.keep(self._agenda.mailboxes())

    def tick(self) -> None:
        """Start the rounds that are due by now; a folder whose last round still runs waits for it."""
        now = self._clock.monotonic()
        for due in self._agenda.take(now):
            if due.subject in self._running:
                self._agenda.again(due, now + 1.0)
            elif (later := self.parking.not_before(due.mailbox, due.subject)) is not None:
                self._agenda.again(due, max(later, now + 1.0))
            else:
                self._agenda.wait(due)
        self._admit()
        if now >= self._look_at:
            self._look_at = now + LOOK
            self._look(now)

    def delay(self, mailbox: str, folder: str) -> str:
        """Say what keeps the round of a folder from ending, as far as that is known here; else empty."""
        subject, now = f"mailbox {mailbox}/{folder}", self._clock.monotonic()
        if (running := self._running.get(subject)) is not None:
            under_way = f"its round has been under way for {spell(now - running.began)}"
            closed = running.due.watch.poller.mail.closed_for
            pause = f", and Graph throttles the mailbox: it may be asked again in {spell(closed)}" if closed else ""
            return under_way + pause
        if self._agenda.is_waiting(subject):
            return "its round waits for others of its mailbox or tenant to end"
        return ""

    async def stop(self, limit: float) -> None:
        """Start no more rounds; let those under way store the page they are at, then cut them off."""
        self._agenda.replace([], 0.0)
        self._generation += 1
        tasks = [running.task for running in self._running.values() if running.task is not None]
        for running in self._running.values():
            running.due.watch.poller.finish()
        for wait in (limit, 1.0):  # what does not even notice that it is cut off is not waited for
            if tasks:
                await asyncio.wait(tasks, timeout=wait)
            for task in tasks:
                task.cancel()

    def _admit(self) -> None:
        """Start those that wait and for whom there is a place."""
        if self._agenda.has_waiting:
            for due, place in self._agenda.admit():
                self._begin(due, place)

    def _begin(self, due: Due, place: Place) -> None:
        now = self._clock.monotonic()
        running = _Running(due, place, now, due.watch.poller.steps, now)
        self._running[due.subject] = running
        running.task = asyncio.create_task(self._run(running, self._generation))

    def _look(self, now: float) -> None:
        """See whether the rounds under way get on: end what is stuck, and let others have the places of the slow."""
        moved = not (self._running or self._agenda.has_waiting or self._is_wedged)
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
                self._agenda.again(due, at)
                self._admit()

    async def _round(self, running: _Running) -> float:
        """Run a round and return when the next one is due."""
        due = running.due
        try:
            result = await due.watch.poller.round()
        except asyncio.CancelledError as error:
            # Without a stop of ours it is a failure of what the round waited for, and must not end the polling.
            if not is_being_cancelled():
                return await self._aftermath.failed(due, error)
            if not running.is_stuck:
                raise
            asyncio.current_task().uncancel()  # type: ignore[union-attr] # within a task there is one
            return await self._aftermath.failed(due, _stuck(due))
        except Exception as error:  # noqa: BLE001 - a defect in one folder's round must not end its polling in silence
            return await self._aftermath.failed(due, error)
        return await self._aftermath.succeeded(due, result)


def _stuck(due: Due) -> PostroomError:
    return Unavailable(
        f"The round of {due.subject} got no page for {spell(STUCK)} and was ended.",
        code="Stuck",
        remedy="It is tried again later; nothing is lost. If it lasts, restart Postroom and report it.",
        mailbox=due.mailbox,
    )
