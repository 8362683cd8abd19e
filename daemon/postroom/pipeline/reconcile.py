"""Holds the journal against Graph's listing of each folder, and takes in what rounds have missed.

Change tracking has holes: a mail that leaves a folder and comes back between two rounds is only told as removed, a
filtered first round ends at 5,000 in silence, a reset may race with an arrival. A listing has none of these.

What is not in the journal may just be about to come. So it is looked for again when a whole round has passed, and only
what is missing then is *unaccounted*, and taken in the way that every mail takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

from postroom.errors import PostroomError
from postroom.pipeline.limits import is_being_cancelled
from postroom.pipeline.poll import FolderPoller
from postroom.pipeline.survey import survey
from postroom.pipeline.walk import RoundResult
from postroom.ports import Clock, Journal, Report

WHOLE = 86_400.0
"""Seconds between two looks at a whole folder, whenever its mail was received: one request for 999 of its messages."""

AT_ONCE = 4
"""Folders that are looked at together: nobody waits for this."""

FAILED_AT_ONCE = 1
"""The same for those whose last look failed: they may hang again, and shall keep no other from its look."""

AGAIN = 300.0
"""Seconds after which a look that failed is repeated, unless looks are due more often."""

MOST = 5_000
"""Missing messages that one look goes after; the next one finds the others."""

BATCH = 20
"""Messages taken in at a time, so that much that was missed keeps nobody else waiting."""

NAMED = 20
"""Missing messages that the log names."""

NAMED_TO_PEOPLE = 3
"""Missing messages that a problem names; their ids are long."""


@dataclass(slots=True)
class _Case:
    """A folder: when its next look is due (monotonic seconds), and what the last one did not find.

    Attributes:
        checked: Up to when nothing was missing; None: never looked.
        suspects: What was missing at the last look, when so many rounds had `begun`.
        unread: Those of them that Graph listed and did not give.
        has_failed: The last look did not come to its end.
    """

    poller: FolderPoller
    at: float
    checked: datetime | None
    suspects: frozenset[str] = frozenset()
    begun: int = 0
    unread: frozenset[str] = frozenset()
    has_failed: bool = False

    @property
    def subject(self) -> str:
        return self.poller.subject.replace("mailbox", "reconcile", 1)


class Reconciler:
    """Looks at each folder after a walk of the whole of it and every so often, always when a round has just ended well.

    Args:
        every: Seconds between two looks at a folder.
        window: Seconds that a look reaches back; never before the folder's floor, always to the last look. The first of
            a run, those after a walk of the whole, and one in each `WHOLE` seconds reach back to the floor.
    """

    def __init__(self, *, journal: Journal, clock: Clock, report: Report, every: float, window: float) -> None:
        self.every = every
        self.window = window
        self._journal = journal
        self._clock = clock
        self._report = report
        self._cases: dict[str, _Case] = {}
        self._whole_at: dict[str, float] = {}
        self._slots = {False: asyncio.Semaphore(AT_ONCE), True: asyncio.Semaphore(FAILED_AT_ONCE)}
        self._looks: dict[str, asyncio.Task[None]] = {}

    def replace(self, pollers: Iterable[FolderPoller]) -> None:
        """Look at these folders from now on; `stop` comes first where there were others."""
        self._cases = {each.subject: _Case(each, self._first(each), each.folder.reconciled_at) for each in pollers}
        self._whole_at = {key: at for key, at in self._whole_at.items() if key in self._cases}

    def round_ended(self, poller: FolderPoller, result: RoundResult) -> None:
        """Start a look if one is due now that a round has brought what it had to bring."""
        key = poller.subject
        case = self._cases.get(key)
        if case is None or case.poller is not poller:
            return
        if result.full:
            case.at = self._clock.monotonic()
            self._whole_at.pop(key, None)
        if key in self._looks or not self._is_due(case):
            return
        self._looks[key] = asyncio.create_task(self._run(case))

    async def stop(self) -> None:
        """End the looks under way, and start no more."""
        self._cases = {}
        looks = list(self._looks.values())
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)

    def _first(self, poller: FolderPoller) -> float:
        """Return when the first look is due: as if the daemon had never been away, at once if it never looked."""
        checked, now = poller.folder.reconciled_at, self._clock.monotonic()
        if checked is None:
            return now
        since = (self._clock.now() - checked).total_seconds()
        return now + min(max(self.every - since, 0.0), self.every)

    def _is_due(self, case: _Case) -> bool:
        """Say whether it is time; what was missing is looked for again when a whole round has passed since."""
        return self._clock.monotonic() >= case.at and (not case.suspects or case.poller.begun > case.begun)

    async def _run(self, case: _Case) -> None:
        try:
            async with self._slots[case.has_failed]:
                await self._look(case)
            case.has_failed = False
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            self._failed(case, error)
        except Exception as error:  # noqa: BLE001 - it is reported, and the next look must come whatever this one met
            self._failed(case, error)
        finally:
            self._looks.pop(case.poller.subject, None)

    def _failed(self, case: _Case, error: BaseException) -> None:
        folder = case.poller.folder
        case.at, case.has_failed = self._clock.monotonic() + min(AGAIN, self.every), True
        self._report.problem(case.subject, error, mailbox=folder.mailbox, folder=folder.name)

    async def _look(self, case: _Case) -> None:
        """Compare, take in what is missing for the second time, and remember what is missing for the first."""
        began, key = self._clock.now(), case.poller.subject
        is_whole = self._clock.monotonic() >= self._whole_at.get(key, 0.0)
        listed, missing = await self._missing(case, self._since(case, began, is_whole=is_whole))
        begun = case.poller.begun
        lost = sorted(missing & case.suspects)
        unread = await self._take_in(case, lost, listed)
        withheld, case.unread = unread & case.unread, unread
        case.suspects, case.begun = missing.difference(lost) | unread, begun
        is_clean = not case.suspects and len(missing) < MOST
        wait = self.every if is_clean else min(AGAIN, self.every) if withheld else 0.0
        case.at = self._clock.monotonic() + wait
        if is_clean:
            await self._journal.reconciled(case.poller.folder.key, began)
            case.checked = began
            if is_whole:
                self._whole_at[key] = self._clock.monotonic() + WHOLE
        if withheld:
            folder = case.poller.folder
            self._report.problem(case.subject, _withheld(case, withheld), mailbox=folder.mailbox, folder=folder.name)
        else:
            self._report.recovered(case.subject)

    def _since(self, case: _Case, now: datetime, *, is_whole: bool) -> datetime | None:
        """Return how far a look at `now` reaches back; None: to the beginning of all mail."""
        floor = case.poller.folder.floor
        if is_whole:
            return floor
        since = now - timedelta(seconds=self.window)
        # What is taken over under a new name may have been looked at under the old one.
        if (checked := case.checked or case.poller.folder.reconciled_at) is not None:
            since = min(since, checked)
        return since if floor is None else max(since, floor)

    async def _missing(self, case: _Case, since: datetime | None) -> tuple[int, frozenset[str]]:
        """Return how many messages are in the folder, and which of them the journal has not seen there."""
        folder, listed, missing = case.poller.folder, 0, set[str]()
        async with aclosing(survey(case.poller.mail, folder.name, since, clock=self._clock)) as pages:
            async for page in pages:
                ids = [graph_id for graph_id, _ in page]
                known = await self._journal.known(folder.key, ids) if ids else frozenset()
                listed += len(ids)
                missing.update(each for each in ids if each not in known)
                if len(missing) >= MOST:
                    break
        return listed, frozenset(missing)

    async def _take_in(self, case: _Case, lost: Sequence[str], listed: int) -> frozenset[str]:
        """Take in what is unaccounted for, and say how that went, also if it cannot be read.

        Returns what is unaccounted for still, though nothing failed: Graph lists it and does not give it.
        """
        left, healed, folder = set(lost), 0, case.poller.folder
        try:
            for start in range(0, len(lost), BATCH):
                batch = lost[start : start + BATCH]
                healed += (await case.poller.take_in(batch)).fresh
                left -= await self._journal.known(folder.key, batch)
        finally:
            self._report.event(
                "reconciled",
                mailbox=folder.mailbox,
                folder=folder.name,
                listed=listed,
                missing=len(lost),
                healed=healed,
                unaccounted=len(left),
                messages=lost[:NAMED],
            )
        return frozenset(left)


def _withheld(case: _Case, ids: Collection[str]) -> PostroomError:
    """Describe what stays unaccounted for until Graph gives it, or lists it no more."""
    folder = case.poller.folder
    named = ", ".join(sorted(ids)[:NAMED_TO_PEOPLE])
    messages = "1 message" if len(ids) == 1 else f"{len(ids)} messages"
    return PostroomError(
        f"Graph lists {messages} in {folder.name} of {folder.mailbox} that the journal has not, and when asked for it "
        f"says that it does not exist: {named}.",
        remedy="Look for it in Outlook; moving it to another folder and back may help. It is asked for again every "
        f"{AGAIN / 60:.0f} min, and handled once it can be read.",
    )
