"""What `postroom audit` does: sign in as the app, survey watched folders, hold the journal against them. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from postroom.clock import SystemClock
from postroom.config import Config, WatchedMailbox
from postroom.errors import GraphError
from postroom.graph.client import GraphClient
from postroom.graph.mail import MailboxMail
from postroom.graph.token import TokenSource
from postroom.journal import JournalViews
from postroom.journal.records import FolderRecord
from postroom.pipeline.audit import FolderAudit, Missing, Watched, compare, confirmed
from postroom.pipeline.survey import survey
from postroom.tenant import Tenant

IN_FLIGHT = 1
"""Requests at once for a mailbox: Microsoft allows four, and the daemon beside this takes three."""

AT_ONCE = 20
"""Folders that are looked at together."""

LONGEST_WAIT = 180.0
"""Seconds that the daemon's next round of a folder is waited for, before what is missing is called so."""

NAMED = 100
"""Missing messages of a folder whose subjects are asked for."""

NOTED_WITHIN = 20.0
"""Seconds within which the daemon writes down that a round brought nothing."""


@dataclass(frozen=True, slots=True)
class Period:
    """The times of receipt that are looked at."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Look:
    """A folder to audit, with all that it takes."""

    config: WatchedMailbox
    folder: str
    mail: MailboxMail
    views: JournalViews
    tenant: Tenant
    period: Period


class Accounts:
    """Audits folders against one journal.

    Args:
        looked: Called after each folder.
        patience: Seconds to wait at most for the daemon's next round where something seems to be missing.
    """

    def __init__(self, views: JournalViews, looked: Callable[[], None], patience: float = LONGEST_WAIT) -> None:
        self._views = views
        self._looked = looked
        self._patience = patience
        self._clock = SystemClock()
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def audit(self, config: Config, wanted: Mapping[str, tuple[str, ...]], period: Period) -> list[FolderAudit]:
        """Return what is found of each wanted folder, (mailbox -> folders), tenant by tenant.

        Raises:
            AuthError: A tenant refuses the app.
            JournalError: The journal cannot be read.
        """
        audits: list[FolderAudit] = []
        for tenant in config.tenants.values():
            boxes = [each for each in config.mailboxes if each.tenant == tenant.name and each.address in wanted]
            if boxes:
                audits += await self._tenant(tenant, boxes, wanted, period)
        return audits

    async def _tenant(
        self, tenant: Tenant, boxes: list[WatchedMailbox], wanted: Mapping[str, tuple[str, ...]], period: Period
    ) -> list[FolderAudit]:
        token = TokenSource(tenant, clock=self._clock)
        try:
            async with GraphClient(tenant, token, clock=self._clock, in_flight=IN_FLIGHT) as client:
                await token.header()
                looks = [
                    Look(box, folder, MailboxMail(client, box.address), self._views, tenant, period)
                    for box in boxes
                    for folder in wanted[box.address]
                ]
                return await asyncio.gather(*map(self._folder, looks))
        finally:
            await token.close()

    async def _folder(self, look: Look) -> FolderAudit:
        async with self._slots:
            try:
                return await _with_subjects(look, await self._audited(look))
            except GraphError as error:
                return FolderAudit(look.config.address, look.folder, error=str(error))
            finally:
                self._looked()

    async def _audited(self, look: Look) -> FolderAudit:
        """Look once, and where something is missing once more when the daemon has made another round."""
        first = await self._look(look)
        if not first.missing or not await self._next_round(look, datetime.now(UTC)):
            return first
        return confirmed(first, await self._look(look))

    async def _look(self, look: Look) -> FolderAudit:
        """Survey the folder, and read the journal only then: what comes meanwhile is too late to be missing."""
        address, period = look.config.address, look.period
        known = await _record(look)
        if known is None:
            return FolderAudit(
                address, look.folder, error="The journal does not know this folder: start the daemon once."
            )
        listed = {
            each: received
            async for page in survey(look.mail, look.folder, period.since, clock=self._clock)
            for each, received in page
            if received < period.until
        }
        accounts = await look.views.account(known.id, period.since, period.until)
        watched = Watched(address, look.folder, known.floor, known.last_round_at, known.mode)
        return compare(watched, listed, {each: record.state for each, record in accounts.items()})

    async def _next_round(self, look: Look, now: datetime) -> bool:
        """Wait until a round that began after `now` has ended; False where no daemon seems to make any."""
        lively = timedelta(seconds=3 * look.config.poll + NOTED_WITHIN)
        deadline = self._clock.monotonic() + min(2 * look.config.poll + NOTED_WITHIN, self._patience)
        while self._clock.monotonic() < deadline:
            record = await _record(look)
            last = record.last_round_at if record is not None else None
            if last is None or last < now - lively:
                return False
            if last > now + timedelta(seconds=look.config.poll):
                break
            await self._clock.sleep(0.5)
        return True


async def _record(look: Look) -> FolderRecord | None:
    """Return the folder as the journal knows it."""
    return await look.views.folder(look.tenant.identity, look.config.address, look.folder)


async def _with_subjects(look: Look, audit: FolderAudit) -> FolderAudit:
    """Ask Graph for the subjects of what is missing, by which an operator knows it."""
    named = [await _with_subject(look, each) for each in audit.missing[:NAMED]]
    return replace(audit, missing=(*named, *audit.missing[NAMED:]))


async def _with_subject(look: Look, missing: Missing) -> Missing:
    try:
        message = await look.mail.message(missing.id, look.folder)
    except GraphError as error:
        return replace(missing, subject=f"(not read: {error.code or error.message})")
    return replace(missing, subject="(gone meanwhile)" if message is None else message.subject)
