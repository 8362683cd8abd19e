"""One watched folder: a round walks it page by page, and each page is stored together with the link that follows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from postroom.errors import GraphError, NotFound, QuotaExceeded, ResyncRequired, Unavailable
from postroom.pipeline import listing
from postroom.pipeline.examine import Examiner
from postroom.pipeline.limits import within
from postroom.ports import Clock, Journal, Mail, Page, PageCommit, PageResult, Report, WatchedFolder
from postroom.rule import Rule

DELTA_RETRY = timedelta(minutes=30)
"""How long a folder stays in listing mode before delta is tried again."""

STORM = 3
"""Resets of a folder's delta within `STORM_SPAN` after which it is listed instead for a while."""

STORM_SPAN = 3600.0

STEP_LIMIT = 300.0
"""Seconds for one page to be fetched, and to be stored; each request in it has its own, shorter limit."""

SEEN_LINK_LIMIT = 3
"""How many links in a row may lead back to where the walk has been (empty pages in a row are legal)."""

_LINK_IS_DEAD = frozenset({"erroritemnotfound", "errorfoldernotfound", "errorsyncfoldernotfound"})
"""What a delta link answers whose folder was deleted; one of the same name may have taken its place."""


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a round brought. `seconds` is how long it took."""

    pages: int = 0
    fresh: int = 0
    known: int = 0
    deliveries: int = 0
    actions: int = 0
    seconds: float = 0.0

    def plus(self, page: PageResult) -> RoundResult:
        """Add a committed page."""
        return replace(
            self,
            pages=self.pages + 1,
            fresh=self.fresh + page.fresh,
            known=self.known + page.known,
            deliveries=self.deliveries + page.deliveries,
            actions=self.actions + page.actions,
        )


class FolderPoller:
    """Walks one folder. A round never overlaps itself; its caller sees to that.

    Args:
        folder: The folder as the journal knows it; kept up to date with each commit.
        delta: False where the cloud has no message delta.
        dispatched: Called after a commit that made deliveries or mail actions.
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
        dispatched: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = folder
        self.subject = f"mailbox {folder.mailbox}/{folder.name}"
        self._mail = mail
        self._journal = journal
        self._clock = clock
        self._report = report
        self._page_size = page_size
        self._delta = delta
        self._dispatched = dispatched
        self._examiner = Examiner(rules, mail=mail, journal=journal, clock=clock, report=report)
        self._listing_until: datetime | None = None
        self._listing: WatchedFolder | None = None
        self._resets: list[float] = []
        self._finishing = False

    def finish(self) -> None:
        """End the round under way, and any later one, with the page it is at."""
        self._finishing = True

    async def round(self) -> RoundResult:
        """Walk the folder once; GraphError, AuthError and JournalError end it, what was committed stays."""
        started = self._clock.monotonic()
        folder_id = await self._mail.folder_id(self.folder.name)
        self._choose_mode()
        try:
            result = await self._walk(folder_id)
        except (ResyncRequired, QuotaExceeded, NotFound) as error:
            folder_id = await self._recover(error)
            result = await self._walk(folder_id)
        if self.folder.mode == "delta":
            self._listing = None
        return replace(result, seconds=self._clock.monotonic() - started)

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
        self._report.event(
            "resync", mailbox=self.folder.mailbox, folder=self.folder.name, code=error.code, request_id=error.request_id
        )
        if len(self._resets) >= STORM:
            self._fall_back(error)
            return
        await self._journal.restart_walk(self.folder.key, self.folder.floor, self._clock.now())
        self.folder = replace(self.folder, link=None, walk="full")

    async def _walk(self, folder_id: str) -> RoundResult:
        """Fetch, store, go on; at most one page is fetched ahead while the one before it is being stored."""
        result = RoundResult()
        start = at = self.folder.link
        seen, astray = {hash(at)}, 0
        page = await self._fetch(folder_id, at)
        while True:
            following, link = self._after(start, at, page)
            async with self._fetching(folder_id, following) as ahead:
                result = result.plus(await self._store(page, link, last=following is None))
                if ahead is None or self._finishing:
                    return result
                astray = astray + 1 if hash(following) in seen else 0
                if astray >= SEEN_LINK_LIMIT:
                    raise self._unavailable("Graph's links lead in a circle")
                page = await ahead
            at = following
            seen.add(hash(at))

    def _after(self, start: str | None, at: str | None, page: Page) -> tuple[str | None, str | None]:
        """Return where the walk goes on after `page` (None: it ends) and the link that is stored with it."""
        if self.folder.mode == "delta":
            link = page.next_link or page.delta_link
            if link is None:
                raise self._unavailable("A page has neither nextLink nor deltaLink")
            return page.next_link, link
        floor, now = self.folder.floor, self._clock.now()
        position = listing.read(at, floor)
        following = listing.following(position, page, now)
        if following is None:
            return None, listing.resting(listing.read(start, floor), position, page, now)
        return str(following), listing.resumable(following)

    @asynccontextmanager
    async def _fetching(self, folder_id: str, at: str | None) -> AsyncIterator[asyncio.Task[Page] | None]:
        """Fetch the page at `at` meanwhile; the task is never left behind."""
        if at is None:
            yield None
            return
        task = asyncio.create_task(self._fetch(folder_id, at))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _fetch(self, folder_id: str, at: str | None) -> Page:
        folder = self.folder
        async with within(STEP_LIMIT, f"to fetch a page of {self.subject}", folder.mailbox):
            if folder.mode == "delta":
                return await self._mail.delta_page(folder.name, folder_id, at, self._page_size)
            position = listing.read(at, folder.floor)
            return await self._mail.listing_page(folder.name, folder_id, position.link, self._page_size, position.since)

    async def _store(self, page: Page, link: str | None, *, last: bool) -> PageResult:
        """Commit a page with the link that follows it; one that changes nothing is not written."""
        after = replace(self.folder, link=link, walk="round" if last else self.folder.walk)
        messages = await self._examiner.examine(self.folder, page.entries)
        if not messages and after == self.folder:
            return PageResult()
        commit = PageCommit(after.key, messages, link, after.walk, self._clock.now(), after.mode, after.floor)
        async with within(STEP_LIMIT, f"to store a page of {self.subject}", after.mailbox):
            result = await self._journal.commit_page(commit)
        self.folder = after
        self._report.progress(self.subject)
        if result.deliveries or result.actions:
            self._dispatched()
        return result

    def _unavailable(self, what: str) -> Unavailable:
        return Unavailable(
            f"{what} in {self.subject}.",
            remedy="The round is tried again later; nothing is lost.",
            mailbox=self.folder.mailbox,
        )
