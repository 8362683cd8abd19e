"""The pages of a round: each is stored together with the link that follows it, while the next is being fetched."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from postroom.errors import Unavailable
from postroom.failpoints import reach
from postroom.pipeline import listing
from postroom.pipeline.dispatch import Dispatcher
from postroom.pipeline.examine import Examiner
from postroom.pipeline.limits import within
from postroom.ports import (
    Clock,
    Entry,
    Journal,
    Mail,
    NewMessage,
    Page,
    PageCommit,
    PageResult,
    PreparedPage,
    Report,
    WatchedFolder,
)

STEP_LIMIT = 300.0
"""Seconds for one page to be fetched, and to be stored; each request in it has its own, shorter limit."""

COMPANY = 0.02
"""Seconds that a page waits for the next one to be stored with; that of a distant Graph takes longer and is no loss."""

ENOUGH = 200
"""Messages that wait for no company: from here on a larger transaction is hardly cheaper.

After a round that failed each page is stored alone, so that one bad page, or mail, keeps back no other page.
"""

SEEN_LINK_LIMIT = 3
"""How many links in a row may lead back to where the walk has been (empty pages in a row are legal)."""


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a round brought. `seconds` is how long it took; `full` says that the folder was listed whole."""

    pages: int = 0
    fresh: int = 0
    known: int = 0
    deliveries: int = 0
    seconds: float = 0.0
    full: bool = False

    def plus(self, page: PageResult, pages: int) -> RoundResult:
        """Add what was committed of so many pages."""
        return replace(
            self,
            pages=self.pages + pages,
            fresh=self.fresh + page.fresh,
            known=self.known + page.known,
            deliveries=self.deliveries + page.deliveries,
        )


@dataclass(slots=True)
class _Group:
    """Pages in hand, to be stored together: how many, with how many entries, and what came of these."""

    pages: int = 0
    entries: int = 0
    messages: list[NewMessage] = field(default_factory=list)
    prepared: list[PreparedPage] = field(default_factory=list)


class Walk:
    """Walks one folder, in delta or in listing mode.

    Attributes:
        folder: The folder as the journal knows it; kept up to date with each commit.
        finishing: End with the page that is under way.
        unsaved: `folder` differs from what the journal has, also where a page changes nothing.
        unfetched: The last error of fetching a page, as opposed to what came of its messages.
        fetched: Pages that came so far, in all rounds.
    """

    def __init__(
        self,
        folder: WatchedFolder,
        examiner: Examiner,
        *,
        mail: Mail,
        journal: Journal,
        clock: Clock,
        report: Report,
        page_size: int,
        dispatcher: Dispatcher | None,
    ) -> None:
        self.folder = folder
        self.subject = f"mailbox {folder.mailbox}/{folder.name}"
        self.finishing = False
        self.unsaved = False
        self.unfetched: Unavailable | None = None
        self.fetched = 0
        self._examiner = examiner
        self._mail = mail
        self._journal = journal
        self._clock = clock
        self._report = report
        self._page_size = page_size
        self._dispatcher = dispatcher
        self._enough = ENOUGH

    async def run(self, folder_id: str) -> RoundResult:
        """Fetch, store, go on, from the folder's link; at most one page is fetched ahead of those that are stored."""
        result, began = RoundResult(full=self.folder.walk == "full"), self._clock.now()
        enough, self._enough = self._enough, 1
        start = at = self.folder.link
        seen, astray = {hash(at)}, 0
        group = _Group()
        page = await self._fetch(folder_id, at)
        reach("page.fetched")
        while True:
            following, link = self._after(start, at, page, began)
            astray = astray + 1 if hash(following) in seen else 0
            async with self._fetching(folder_id, following) as ahead:
                await self._examine(page, group)
                if ahead is None or astray or not await self._has_company(group, ahead, enough):
                    stored = await self._store(folder_id, group, link, last=following is None)
                    result, group = result.plus(stored, group.pages), _Group()
                    if ahead is None or self.finishing:
                        self._enough = ENOUGH
                        return result
                if astray >= SEEN_LINK_LIMIT:
                    raise self._unavailable("Graph's links lead in a circle")
                page = await ahead
                reach("page.fetched")
            at = following
            seen.add(hash(at))

    def _after(self, start: str | None, at: str | None, page: Page, began: datetime) -> tuple[str | None, str | None]:
        """Return where the walk goes on after `page` (None: it ends) and the link that is stored with it."""
        if self.folder.mode == "delta":
            link = page.next_link or page.delta_link
            if link is None:
                raise self._unavailable("A page has neither nextLink nor deltaLink")
            return page.next_link, link
        floor = self.folder.floor
        position = listing.read(at, floor)
        following = listing.following(position, page, began)
        if following is None:
            return None, listing.resting(listing.read(start, floor), position, page, began)
        return str(following), listing.resumable(following)

    @asynccontextmanager
    async def _fetching(self, folder_id: str, at: str | None) -> AsyncIterator[asyncio.Task[Page] | None]:
        """Fetch the page at `at` meanwhile, asking for it at once; the task is never left behind."""
        if at is None:
            yield None
            return
        task = asyncio.create_task(self._fetch(folder_id, at))
        try:
            await asyncio.sleep(0)
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def take_in(self, entries: Sequence[Entry], examiner: Examiner) -> PageResult:
        """Take in messages that no page has brought; the folder and its link stay as they are."""
        messages = await examiner.examine(replace(self.folder, walk="round"), entries)
        return await self._take_in(messages) if messages else PageResult()

    async def route_again(self, message: NewMessage) -> PageResult:
        """Store a message once more that could not be read when it was stored, and deliver it."""
        return await self._take_in([message], again=True)

    async def _take_in(self, messages: Sequence[NewMessage], *, again: bool = False) -> PageResult:
        folder, now = self.folder.key, self._clock.now()
        return await self._committed(PageCommit(folder, messages, None, "round", now, advance=False, again=again))

    async def _fetch(self, folder_id: str, at: str | None) -> Page:
        try:
            page = await self._page(folder_id, at)
        except Unavailable as error:
            self.unfetched = error
            raise
        self.fetched += 1
        return page

    async def _page(self, folder_id: str, at: str | None) -> Page:
        folder = self.folder
        async with within(STEP_LIMIT, f"to fetch a page of {self.subject}", folder.mailbox):
            if folder.mode == "delta":
                return await self._mail.delta_page(folder.name, folder_id, at, self._page_size)
            position = listing.read(at, folder.floor)
            return await self._mail.listing_page(folder.name, folder_id, position.link, self._page_size, position.since)

    async def _examine(self, page: Page, group: _Group) -> None:
        """Add a page to those in hand. All that is done with its mails is done now: later they have left the cache."""
        messages = await self._examiner.examine(self.folder, page.entries)
        reach("page.examined")
        group.pages, group.entries = group.pages + 1, group.entries + len(page.entries)
        if messages:
            group.messages += messages
            group.prepared.append(await self._journal.prepare(messages, self._clock.now()))

    async def _has_company(self, group: _Group, ahead: asyncio.Task[Page], enough: int) -> bool:
        """Say whether the next page is there already, or in a moment, to be stored together with those in hand."""
        if self.finishing or group.entries >= enough:
            return False
        await asyncio.wait({ahead}, timeout=COMPANY)
        return ahead.done() and not ahead.cancelled() and ahead.exception() is None and self._goes_on(ahead.result())

    def _goes_on(self, page: Page) -> bool:
        """Say whether a page has what it must have, so that it keeps nothing from being stored that came before it."""
        return self.folder.mode == "listing" or (page.next_link or page.delta_link) is not None

    async def _store(self, folder_id: str, group: _Group, link: str | None, *, last: bool) -> PageResult:
        """Commit pages with the link that follows them; what changes nothing is not written."""
        after = replace(self.folder, link=link, walk="round" if last else self.folder.walk, graph_id=folder_id)
        if after.floor is not None and after.floor > (now := self._clock.now()):
            after = replace(after, floor=now)  # the clock was ahead when the folder was first watched
        if not group.messages and after == self.folder and not self.unsaved:
            return PageResult()
        commit = PageCommit(
            after.key,
            group.messages,
            link,
            after.walk,
            self._clock.now(),
            after.mode,
            after.floor,
            graph_id=folder_id,
            prepared=group.prepared,
        )
        result = await self._committed(commit)
        self.folder = after
        self.unsaved = False
        self._report.progress(self.subject)
        return result

    async def _committed(self, page: PageCommit) -> PageResult:
        async with within(STEP_LIMIT, f"to store a page of {self.subject}", self.folder.mailbox):
            # Cancelling does not keep the journal from storing it, and what was claimed must not be left behind.
            return await asyncio.shield(asyncio.create_task(self._commit(page)))

    async def _commit(self, page: PageCommit) -> PageResult:
        """Commit a page, with places for its deliveries, and hand over what came of it."""
        if self._dispatcher is None:
            return await self._journal.commit_page(page)
        self._dispatcher.unstored.check()
        rules = (rule for new in page.messages if new.dispatch and not new.failure for rule in new.rules)
        wanted = Counter(handler for rule in rules for handler in rule.handlers)
        places = self._dispatcher.reserve(self.folder.mailbox, wanted)
        result = PageResult()
        try:
            result = await self._journal.commit_page(replace(page, room=places.room))
        finally:
            self._dispatcher.take(places, result)
        reach("page.taken")
        return result

    def _unavailable(self, what: str) -> Unavailable:
        return Unavailable(
            f"{what} in {self.subject}.",
            remedy="The round is tried again later; nothing is lost.",
            mailbox=self.folder.mailbox,
        )
