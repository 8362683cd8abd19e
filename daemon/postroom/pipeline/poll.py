"""One watched folder: a round walks it page by page, and each page is stored together with the link that follows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from postroom.errors import GraphError, NotFound, QuotaExceeded, ResyncRequired, Unavailable
from postroom.model import Message
from postroom.pipeline.route import as_matched, route
from postroom.ports import Clock, Entry, Journal, Mail, NewMessage, Page, PageCommit, PageResult, Report, WatchedFolder
from postroom.rule import Rule

LISTING_OVERLAP = timedelta(minutes=15)
"""How far a listing round reaches back behind the last one: late mail shows up with an earlier receivedDateTime."""

DELTA_RETRY = timedelta(minutes=30)
"""How long a folder stays in listing mode before delta is tried again."""

PAGE_LIMIT = 300.0
"""Seconds for one page to be fetched, examined and stored; each request in it has its own, shorter limit."""

SAME_LINK_LIMIT = 3
"""How often the same nextLink may come back before the round is given up (empty pages in a row are legal)."""


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
        self._rules = rules
        self._mail = mail
        self._journal = journal
        self._clock = clock
        self._report = report
        self._page_size = page_size
        self._delta = delta
        self._dispatched = dispatched
        self._listing_until: datetime | None = None

    async def round(self) -> RoundResult:
        """Walk the folder once; GraphError, AuthError and JournalError end it, what was committed stays."""
        started = self._clock.monotonic()
        folder_id = await self._mail.folder_id(self.folder.name)
        self._choose_mode()
        try:
            result = await self._walk(folder_id)
        except ResyncRequired as error:
            await self._restart(error)
            result = await self._walk(folder_id)
        except QuotaExceeded as error:
            self._fall_back(error)
            result = await self._walk(folder_id)
        return replace(result, seconds=self._clock.monotonic() - started)

    def _choose_mode(self) -> None:
        """Go to listing mode where delta cannot run, and back to delta when it is time to try it again."""
        if not self._delta and self.folder.mode == "delta":
            self._switch("listing")
        elif self._delta and self.folder.mode == "listing" and self._time_for_delta():
            self._switch("delta")

    def _time_for_delta(self) -> bool:
        return self._listing_until is None or self._clock.now() >= self._listing_until

    def _switch(self, mode: Literal["delta", "listing"]) -> None:
        """Start a full walk in the other mode; what is known is not dispatched again."""
        self.folder = replace(self.folder, mode=mode, link=None, walk="full")

    def _fall_back(self, error: QuotaExceeded) -> None:
        """Delta keeps its state in the mailbox; a full mailbox can still be listed."""
        self._listing_until = self._clock.now() + DELTA_RETRY
        self._switch("listing")
        self._report.event(
            "fallback", mailbox=self.folder.mailbox, folder=self.folder.name, reason=str(error), mode="listing"
        )

    async def _restart(self, error: ResyncRequired) -> None:
        now = self._clock.now()
        await self._journal.restart_walk(self.folder.key, self.folder.floor, now)
        self.folder = replace(self.folder, link=None, walk="full")
        self._report.event(
            "resync", mailbox=self.folder.mailbox, folder=self.folder.name, code=error.code, request_id=error.request_id
        )

    async def _walk(self, folder_id: str) -> RoundResult:
        """Fetch, store, go on; at most one page is fetched ahead while the one before it is being stored."""
        result = RoundResult()
        async with self._limit():
            page = await self._fetch(folder_id, self.folder.link)
        repeats = 0
        newest: datetime | None = None
        while True:
            ahead = self._fetch_ahead(folder_id, page)
            try:
                newest = _newest(page, newest)
                async with self._limit():
                    result = result.plus(await self._store(page, newest))
                    if ahead is None:
                        return result
                    following = await ahead
            finally:
                if ahead is not None and not ahead.done():
                    ahead.cancel()
                    await asyncio.gather(ahead, return_exceptions=True)
            repeats = repeats + 1 if following.next_link and following.next_link == page.next_link else 0
            if repeats >= SAME_LINK_LIMIT:
                raise Unavailable(
                    f"Graph sent the same nextLink {repeats} times for {self.subject}.",
                    remedy="The round is tried again later; nothing is lost.",
                    mailbox=self.folder.mailbox,
                )
            page = following

    @asynccontextmanager
    async def _limit(self) -> AsyncIterator[None]:
        limit = asyncio.timeout(PAGE_LIMIT)
        try:
            async with limit:
                yield
        except TimeoutError as error:
            raise Unavailable(
                f"A page of {self.subject} took longer than {PAGE_LIMIT:g} s.",
                remedy="The round is tried again later; nothing is lost.",
                mailbox=self.folder.mailbox,
            ) from error

    def _fetch_ahead(self, folder_id: str, page: Page) -> asyncio.Task[Page] | None:
        return None if page.next_link is None else asyncio.create_task(self._fetch(folder_id, page.next_link))

    async def _fetch(self, folder_id: str, link: str | None) -> Page:
        if self.folder.mode == "delta":
            return await self._mail.delta_page(self.folder.name, folder_id, link, self._page_size)
        since, link = _listing_start(link, self.folder.floor)
        return await self._mail.listing_page(self.folder.name, folder_id, link, self._page_size, since)

    async def _store(self, page: Page, newest: datetime | None) -> PageResult:
        """Commit a page with the link that follows it; one that changes nothing is not written."""
        link = page.next_link or page.delta_link
        last = page.next_link is None
        if self.folder.mode == "listing":
            link = _listing_link(self.folder.link, newest, last=last)
        walk: Literal["full", "round"] = "round" if last else self.folder.walk
        messages = [message for entry in page.entries for message in await self._examine(entry)]
        if not messages and link == self.folder.link and walk == self.folder.walk:
            return PageResult()
        result = await self._journal.commit_page(
            PageCommit(
                self.folder.key,
                messages,
                link,
                walk,
                self._clock.now(),
                self.folder.mode,
                self.folder.floor,
            )
        )
        self.folder = replace(self.folder, link=link, walk=walk)
        self._report.progress(self.subject)
        if result.deliveries or result.actions:
            self._dispatched()
        return result

    async def _examine(self, entry: Entry) -> Sequence[NewMessage]:
        """Turn an entry into what the journal stores; `@removed` is only a hint (message-delta docs)."""
        if entry.removed:
            return ()
        message = entry.message or await self._complete(entry.id)
        if message is None:
            return ()
        floor = self.folder.floor
        if self.folder.walk == "full" and floor is not None and message.received_at < floor:
            return (NewMessage(message, dispatch=False),)
        return (await self._routed(message),)

    async def _complete(self, message_id: str) -> Message | None:
        """Read a message whose entry lacks fields: an update; it is only new when the journal does not have it."""
        if message_id in await self._journal.known(self.folder.key, [message_id]):
            return None
        return await self._mail.message(message_id, self.folder.name)

    async def _routed(self, message: Message) -> NewMessage:
        routing = route(message, self._rules, self._clock.now())
        if not routing.missing:
            return NewMessage(message, as_matched(routing.matched))
        if message.id in await self._journal.known(self.folder.key, [message.id]):
            return NewMessage(message, as_matched(routing.matched))
        try:
            details = await self._mail.details(message.id, routing.missing)
        except NotFound:
            return NewMessage(message, as_matched(routing.matched))
        except GraphError as error:
            if error.temporary:
                raise
            wanted = as_matched((*routing.matched, *routing.undecided))
            return NewMessage(message, wanted, failure=f"Its rules could not be evaluated: {error}")
        return NewMessage(message, as_matched(route(message, self._rules, self._clock.now(), details).matched))


def _newest(page: Page, newest: datetime | None) -> datetime | None:
    times = [entry.message.received_at for entry in page.entries if entry.message is not None]
    return max([*times, *([newest] if newest else [])], default=None)


_SINCE = "since:"


def _listing_start(link: str | None, floor: datetime | None) -> tuple[datetime | None, str | None]:
    """Split what the journal keeps in listing mode into where to start and Graph's link."""
    if link is not None and link.startswith(_SINCE):
        return datetime.fromisoformat(link.removeprefix(_SINCE)), None
    return (floor, None) if link is None else (None, link)


def _listing_link(present: str | None, newest: datetime | None, *, last: bool) -> str | None:
    """Return what the journal keeps in listing mode: where the next round starts, changed only when one is complete.

    A listing's nextLink counts items, so it is no place to resume from; an interrupted round starts again.
    """
    if not last or newest is None:
        return present
    return f"{_SINCE}{(newest - LISTING_OVERLAP).isoformat()}"
