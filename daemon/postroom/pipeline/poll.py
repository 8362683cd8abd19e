"""One watched folder: a round of it, and what is done when a walk cannot go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from postroom.errors import GraphError, NotFound, QuotaExceeded, ResyncRequired, Unavailable
from postroom.pipeline.dispatch import Dispatcher
from postroom.pipeline.examine import Examiner
from postroom.pipeline.mode import DELTA_PATIENCE, FULL, STORM, WAIT, FolderMode
from postroom.pipeline.walk import RoundResult, Walk
from postroom.pipeline.walkers import Walkers
from postroom.ports import Clock, Entry, Journal, Mail, NewMessage, PageResult, Report, WatchedFolder
from postroom.rule import Rule

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
        walkers: Which folders of the mailbox are watched; shared by its pollers.

    Attributes:
        begun: How many rounds have begun.
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
        walkers: Walkers | None = None,
    ) -> None:
        def examiner() -> Examiner:
            return Examiner(rules, mail=mail, journal=journal, clock=clock, report=report)

        self._examiner = examiner()
        self._healer = examiner()
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
        self.mail = mail
        self.begun = 0
        self._journal = journal
        self._clock = clock
        self._report = report
        self._mode = FolderMode(folder, delta=delta, clock=clock, report=report)
        self._walkers = walkers or Walkers()
        self._walkers.enter(folder)

    @property
    def folder(self) -> WatchedFolder:
        """The folder as the journal knows it; kept up to date with each commit."""
        return self._walk.folder

    @folder.setter
    def folder(self, folder: WatchedFolder) -> None:
        self._walk.folder = folder

    @property
    def steps(self) -> int:
        """A number that grows as long as rounds get on: pages that came, and messages that were read."""
        return self._walk.fetched + self._examiner.looked

    def finish(self) -> None:
        """End the round under way, and any later one, with the page it is at."""
        self._walk.finishing = True

    async def round(self) -> RoundResult:
        """Walk the folder once; GraphError, AuthError and JournalError end it, what was committed stays."""
        self.begun += 1
        started = self._clock.monotonic()
        folder_id = await self._resolved()
        await self._follow(folder_id)
        if self.folder.link is None and self.folder.graph_id is None:
            await self._take_over(folder_id)
        self._become(self._mode.chosen(self.folder))
        try:
            result = await self._walk.run(folder_id)
        except (ResyncRequired, QuotaExceeded, NotFound, Unavailable) as error:
            result = await self._otherwise(error, folder_id)
        self._mode.went_well(self.folder)
        return replace(result, seconds=self._clock.monotonic() - started)

    async def take_in(self, ids: Sequence[str]) -> PageResult:
        """Take in messages that a round has missed, on the same way and with the same guarantees; no link moves.

        May run beside a round: whichever stores a message first has it, the other finds it known.
        """
        return await self._walk.take_in([Entry(each) for each in ids], self._healer)

    async def read(self, message_id: str, *, in_full: bool = False) -> NewMessage | None:
        """Read a message anew and evaluate its rules; None when it is gone. Raises GraphError and AuthError.

        `in_full`: as in a full walk, in which the folder's floor counts.
        """
        return await self._healer.read(self.folder, message_id, in_full=in_full)

    async def route_again(self, new: NewMessage) -> PageResult:
        """Store a message again with what its rules say now, and deliver it to whom they name and who never had it."""
        return await self._walk.route_again(new)

    def _become(self, folder: WatchedFolder) -> None:
        """Walk the folder in another way from now on, which goes to the journal with the next page."""
        if folder != self.folder:
            self.folder = folder
            self._walk.unsaved = True

    async def _resolved(self) -> str:
        """Return Graph's id of the folder; raises GraphError, and PostroomError when another name walks it."""
        folder_id = await self.mail.folder_id(self.folder.name)
        self._walkers.claim(self.folder, folder_id)
        return folder_id

    async def _take_over(self, folder_id: str) -> None:
        """Go on where the folder stood under a name that nobody watches any more: it was renamed, or spelt anew."""
        before = await self._journal.take_over(self.folder.key, folder_id, self._walkers.keys)
        if before is None:
            return
        self._walkers.replace(self.folder.key, before.key)
        self.folder = replace(before, name=self.folder.name)
        self._report.event("folder_renamed", mailbox=self.folder.mailbox, folder=self.folder.name, before=before.name)

    async def _follow(self, folder_id: str) -> None:
        """List the folder from its beginning where its name now means another than the link does."""
        known = self.folder.graph_id
        if known is None or known == folder_id:
            return
        self._mode.forget()
        self._say_resync(FOLDER_CHANGED, "")
        await self._list_again()

    async def _otherwise(self, error: GraphError, folder_id: str) -> RoundResult:
        """Walk the folder on another way or from another link; raises `error` where nothing helps."""
        if self.folder.mode == "listing":
            raise error
        if isinstance(error, Unavailable):
            return await self._try_listing(error, folder_id)
        if isinstance(error, QuotaExceeded):
            self._list(error.message, FULL, keep_link=True)
        elif isinstance(error, NotFound) and (self.folder.link is None or error.code.lower() not in _LINK_IS_DEAD):
            raise error
        folder_id = await self._resolved()
        if not isinstance(error, QuotaExceeded):
            await self._restart(error)
        return await self._walk.run(folder_id)

    def _list(self, reason: str, remedy: str, *, keep_link: bool) -> None:
        """List the folder from now on; delta keeps its state in the mailbox, listing does not."""
        self._become(self._mode.listed(self.folder, keep_link=keep_link))
        self._mode.announce(self.folder, reason, remedy)

    async def _try_listing(self, error: Unavailable, folder_id: str) -> RoundResult:
        """List instead where delta fails round after round, or fails again, and nothing else does.

        That it is delta's fault is only known when the listing works: an outage changes no mode.
        """
        if error is not self._walk.unfetched or not (self._mode.is_trial or self._mode.is_out_of_patience()):
            raise error
        before, trial = self.folder, self._mode.is_trial
        self._become(self._mode.listed(before, keep_link=not trial))
        try:
            result = await self._walk.run(folder_id)
        except GraphError:
            if not trial:
                self._become(before)
            raise error from None
        often = "still fails" if trial else f"has failed {DELTA_PATIENCE} rounds in a row"
        self._mode.announce(self.folder, f"Delta {often}, listing works. {error.message}", WAIT)
        return result

    async def _restart(self, error: GraphError) -> None:
        """List the folder again by delta; known mail is suppressed. In a storm of resets delta gets a rest."""
        self._say_resync(error.code, error.request_id)
        if self._mode.has_stormed():
            self._list(f"It was reset {STORM} times within an hour. {error.message}", WAIT, keep_link=False)
        else:
            await self._list_again()

    async def _list_again(self) -> None:
        await self._journal.restart_walk(self.folder.key, self.folder.floor, self._clock.now())
        self.folder = replace(self.folder, link=None, walk="full", graph_id=None)

    def _say_resync(self, code: str, request_id: str) -> None:
        self._report.event(
            "resync", mailbox=self.folder.mailbox, folder=self.folder.name, code=code, request_id=request_id
        )
