"""One watched folder: when it is walked by delta and when by listing, and what is done when a walk cannot go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from postroom.errors import GraphError, NotFound, QuotaExceeded, ResyncRequired
from postroom.pipeline.dispatch import Dispatcher
from postroom.pipeline.examine import Examiner
from postroom.pipeline.walk import RoundResult, Walk
from postroom.ports import Clock, Journal, Mail, Report, WatchedFolder
from postroom.rule import Rule

DELTA_RETRY = timedelta(minutes=30)
"""How long a folder stays in listing mode before delta is tried again."""

STORM = 3
"""Resets of a folder's delta within `STORM_SPAN` after which it is listed instead for a while."""

STORM_SPAN = 3600.0

_LINK_IS_DEAD = frozenset({"erroritemnotfound", "errorfoldernotfound", "errorsyncfoldernotfound"})
"""What a delta link answers whose folder was deleted; one of the same name may have taken its place."""


FOLDER_CHANGED = "FolderChanged"
"""The code of a resync of our own: the folder was renamed or deleted, and another has its name now."""


class FolderPoller:
    """Walks one folder. A round never overlaps itself; its caller sees to that.

    Args:
        folder: The folder as the journal knows it.
        delta: False where the cloud has no message delta.
        dispatcher: Who runs the deliveries that the pages bring; without, they wait in the journal.
    """

    def __init__(
        self,
        folder: WatchedFolder,
        rules: Sequence[Rule],
        *,
        mail: Mail,
        journal: Journal,
        clock: Clock,
        report: Report,
        page_size: int,
        delta: bool = True,
        dispatcher: Dispatcher | None = None,
    ) -> None:
        self._examiner = Examiner(rules, mail=mail, journal=journal, clock=clock, report=report)
        self._walk = Walk(
            folder,
            self._examiner,
            mail=mail,
            journal=journal,
            clock=clock,
            report=report,
            page_size=page_size,
            dispatcher=dispatcher,
        )
        self.subject = self._walk.subject
        self._mail = mail
        self._journal = journal
        self._clock = clock
        self._report = report
        self._delta = delta
        self._listing_until: datetime | None = None
        self._listing: WatchedFolder | None = None
        self._resets: list[float] = []

    @property
    def folder(self) -> WatchedFolder:
        """The folder as the journal knows it; kept up to date with each commit."""
        return self._walk.folder

    @folder.setter
    def folder(self, folder: WatchedFolder) -> None:
        self._walk.folder = folder

    def finish(self) -> None:
        """End the round under way, and any later one, with the page it is at."""
        self._walk.finishing = True

    async def round(self) -> RoundResult:
        """Walk the folder once; GraphError, AuthError and JournalError end it, what was committed stays."""
        started = self._clock.monotonic()
        folder_id = await self._mail.folder_id(self.folder.name)
        await self._follow(folder_id)
        self._choose_mode()
        try:
            result = await self._walk.run(folder_id)
        except (ResyncRequired, QuotaExceeded, NotFound) as error:
            folder_id = await self._recover(error)
            result = await self._walk.run(folder_id)
        if self.folder.mode == "delta":
            self._listing = None
        return replace(result, seconds=self._clock.monotonic() - started)

    async def _follow(self, folder_id: str) -> None:
        """List the folder from its beginning where its name now means another than the link does."""
        known = self.folder.graph_id
        if known is None or known == folder_id:
            return
        self._listing = None
        self._say_resync(FOLDER_CHANGED, "")
        await self._list_again()

    def _choose_mode(self) -> None:
        """Go to listing mode where delta cannot run, and back to delta when it is time to try it again."""
        if not self._delta and self.folder.mode == "delta":
            self.folder = replace(self.folder, mode="listing", link=None, walk="full")
        elif self._delta and self.folder.mode == "listing" and self._time_for_delta():
            self._listing = self.folder
            self.folder = replace(self.folder, mode="delta", link=None, walk="full")

    def _time_for_delta(self) -> bool:
        return self._listing_until is None or self._clock.now() >= self._listing_until

    async def _recover(self, error: GraphError) -> str:
        """Make a second walk possible and return the folder's id for it, or raise `error` where nothing helps."""
        if self.folder.mode == "listing":
            raise error
        if isinstance(error, QuotaExceeded):
            self._fall_back(error)
        elif isinstance(error, NotFound) and (self.folder.link is None or error.code.lower() not in _LINK_IS_DEAD):
            raise error
        folder_id = await self._mail.folder_id(self.folder.name)
        if not isinstance(error, QuotaExceeded):
            await self._restart(error)
        return folder_id

    def _fall_back(self, error: GraphError) -> None:
        """List instead, from where listing stood if it did; delta keeps its state in the mailbox, listing does not."""
        self._listing_until = self._clock.now() + DELTA_RETRY
        self.folder = self._listing or replace(self.folder, mode="listing", link=None, walk="full")
        self._report.event(
            "fallback", mailbox=self.folder.mailbox, folder=self.folder.name, reason=str(error), mode="listing"
        )

    async def _restart(self, error: GraphError) -> None:
        """List the folder again by delta; known mail is suppressed. In a storm of resets delta gets a rest."""
        now = self._clock.monotonic()
        self._resets = [*(each for each in self._resets if now - each < STORM_SPAN), now]
        self._say_resync(error.code, error.request_id)
        if len(self._resets) >= STORM:
            self._fall_back(error)
            return
        await self._list_again()

    async def _list_again(self) -> None:
        await self._journal.restart_walk(self.folder.key, self.folder.floor, self._clock.now())
        self.folder = replace(self.folder, link=None, walk="full", graph_id=None)

    def _say_resync(self, code: str, request_id: str) -> None:
        self._report.event(
            "resync", mailbox=self.folder.mailbox, folder=self.folder.name, code=code, request_id=request_id
        )
