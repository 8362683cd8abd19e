"""What follows from a round that has ended: who is told, what the journal keeps, and when the next one is due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime

from postroom.errors import AuthError, JournalError
from postroom.pipeline.agenda import Agenda
from postroom.pipeline.due import Due, after_failure, next_due
from postroom.pipeline.parking import Parked, Parking, explained
from postroom.pipeline.poll import FolderPoller
from postroom.pipeline.unstored import PAGES
from postroom.pipeline.walk import RoundResult
from postroom.ports import Clock, Journal, Report


class Aftermath:
    """Hears how rounds ended. A mailbox that cannot be used as a whole is parked, and returns with all its folders.

    Args:
        ended: Told of each round that ended well.

    Attributes:
        walked: When folders (their keys) were last walked to their end; whoever stores it takes it out.
        parking: Which mailboxes are parked.
    """

    def __init__(
        self,
        agenda: Agenda,
        *,
        journal: Journal,
        clock: Clock,
        report: Report,
        ended: Callable[[FolderPoller, RoundResult], None] | None,
    ) -> None:
        self.walked: dict[int, datetime] = {}
        self.parking = Parking(clock)
        self._unstored: set[str] = set()
        self._agenda = agenda
        self._journal = journal
        self._clock = clock
        self._report = report
        self._ended = ended

    async def succeeded(self, due: Due, result: RoundResult) -> float:
        """Say that a round ended well, and return when the next one is due."""
        due.failures = 0
        poller = due.watch.poller
        self.walked[poller.folder.key] = self._clock.now()
        self._report.recovered(poller.subject)
        self._stored(self._unstored - {due.subject})
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
        return next_due(due.subject, due.watch.interval, self._clock.monotonic())

    def keep(self, subjects: Collection[str]) -> None:
        """Forget the folders that are not among these."""
        self._stored(self._unstored & set(subjects))

    def _stored(self, left: set[str]) -> None:
        """Say that the journal takes new mail again, once it does so for all folders."""
        if self._unstored and not left:
            self._report.recovered(PAGES)
        self._unstored = left

    async def failed(self, due: Due, error: BaseException) -> float:
        """Say that a round failed, keep it with the folder, and return when to try again."""
        due.failures += 1
        folder = due.watch.poller.folder
        self._report.event("round_failed", mailbox=folder.mailbox, folder=folder.name, failures=due.failures)
        was_parked = due.mailbox in self.parking
        parked = self.parking.failed(due.mailbox, due.subject, error)
        if parked is not None:
            self._report.problem(f"mailbox {due.mailbox}", explained(due.mailbox, parked), mailbox=due.mailbox)
            await self._note_parked(due, parked, first=not was_parked)
            return parked.probe_at
        if was_parked:
            await self._return(due)
        if isinstance(error, AuthError):
            # Nobody signs in to this tenant: one problem, however many folders it has.
            self._report.problem(f"token {due.watch.tenant}", error)
        elif isinstance(error, JournalError):
            # No mail is taken in, whoever it is for: one problem, too.
            self._unstored.add(due.subject)
            self._report.problem(PAGES, error)
        else:
            self._report.problem(due.subject, error, mailbox=folder.mailbox, folder=folder.name)
        await self._keep(due, error)
        retry_after = getattr(error, "retry_after", None)
        return self._clock.monotonic() + after_failure(due.watch.interval, due.failures, retry_after)

    async def _note_parked(self, due: Due, parked: Parked, *, first: bool) -> None:
        await self._keep(due, parked.present)
        if first:
            await self._mark(due, self._clock.now())

    async def _return(self, due: Due) -> None:
        """Say that a parked mailbox works again, and have all its folders walked at once."""
        self._report.recovered(f"mailbox {due.mailbox}")
        self._agenda.hasten(due.mailbox, self._clock.monotonic())
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
