"""What the daemon does at intervals besides polling: fresh tokens, counts, summaries, and the watchdog."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from postroom.build import Connection
from postroom.errors import AuthError, JournalError
from postroom.observe.notify import Notifier
from postroom.observe.report import Report
from postroom.ports import Clock, Journal
from postroom.schedule import Schedule

REFRESH_AHEAD = 600.0
"""Seconds before its expiry at which a token is refreshed; MSAL itself refreshes at 300."""

SIGN_IN_PATIENCE = 30.0
"""Seconds that a start or a reload waits for a login host that does not answer; the sign-in goes on behind it."""


class Chores:
    """The recurring jobs around the rooms.

    Attributes:
        walked: When which folder was last walked to its end: what the rounds found and the journal has not heard of.
        connections: To the tenants of the present configuration; a reload replaces it.
    """

    def __init__(self, journal: Journal, *, clock: Clock, report: Report, notifier: Notifier) -> None:
        self.connections: Mapping[str, Connection] = {}
        self.walked: dict[int, datetime] = {}
        self._journal = journal
        self._clock = clock
        self._report = report
        self._notifier = notifier

    def add_to(self, schedule: Schedule) -> None:
        """Put the jobs on the schedule."""
        schedule.every(30.0, "tokens", self.refresh_tokens)
        schedule.every(15.0, "counts", self.count, at_once=True)
        schedule.every(60.0, "summary", self.sum_up)
        if (interval := self._notifier.watchdog_interval()) is not None:
            schedule.every(interval, "watchdog", self.feed_watchdog, at_once=True)

    async def sign_in(self, connections: Mapping[str, Connection]) -> None:
        """Get a first token of each tenant; raises AuthError when credentials are refused, not when nobody answers."""
        signed_in = await asyncio.gather(*map(self._sign_in, connections.values()), return_exceptions=True)
        for refused in filter(None, signed_in):
            raise refused

    async def _sign_in(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(SIGN_IN_PATIENCE):
                await connection.token.header()
        except AuthError as error:
            if not error.temporary:
                raise
            self._report.problem(_subject(connection), error)
        except TimeoutError:
            self._report.problem(_subject(connection), f"The login host has not answered for {SIGN_IN_PATIENCE:.0f} s.")
        else:
            self._token_is_good(connection)

    async def refresh_tokens(self) -> None:
        """Refresh what expires soon, well before a poll would have to wait for it."""
        await asyncio.gather(*map(self._refresh, self.connections.values()))  # a dead login host delays no other

    async def _refresh(self, connection: Connection) -> None:
        expires = connection.token.expires_at
        if expires is not None and (expires - self._clock.now()).total_seconds() > REFRESH_AHEAD:
            # Got by a poll meanwhile: whatever was wrong with it is over.
            self._report.recovered(_subject(connection))
            return
        try:
            await connection.token.refresh()
        except AuthError as error:
            self._report.problem(_subject(connection), error)
        else:
            self._token_is_good(connection)

    def _token_is_good(self, connection: Connection) -> None:
        self._report.recovered(_subject(connection))
        if (expires := connection.token.expires_at) is not None:
            self._report.event("token", tenant=connection.tenant.name, expires_at=expires)

    async def count(self) -> None:
        """Tell the journal of rounds that brought nothing, and read its counts for health and `systemctl status`."""
        try:
            await self._note_walks()
            counts = await self._journal.counts()
            self._report.counted({**counts, "journal.bytes": await self._journal.size()})
        except JournalError as error:
            self._report.problem("journal", error)
        self._notifier.status(self.status())

    async def _note_walks(self) -> None:
        """Have all rounds since the last time stored at once; a transaction for each would keep disks awake."""
        if not (walked := dict(self.walked)):
            return
        await self._journal.walked(walked)
        self._report.recovered("journal")
        for folder, at in walked.items():
            if self.walked.get(folder) == at:
                del self.walked[folder]

    async def sum_up(self) -> None:
        """Log what was done without a line of its own."""
        self._report.sum_up()

    async def feed_watchdog(self) -> None:
        """Tell systemd that work gets done, as long as that is true."""
        if self._report.health.is_progressing(self._clock.monotonic()):
            self._notifier.watchdog()

    def status(self) -> str:
        """Say in a line how it goes."""
        counts, health = self._report.health.counts, self._report.health
        waiting = counts.get("deliveries.ready", 0) + counts.get("deliveries.running", 0)
        dead, stopped = counts.get("deliveries.dead", 0), counts.get("actions.dead", 0)
        return (
            f"{health.status()}: {len(health.folders)} folders, {waiting} deliveries waiting, "
            f"{dead} dead letters, {stopped} dead mail actions, {len(health.present())} problems"
        )

    def forget(self, tenants: set[str]) -> None:
        """Drop the troubles of tenants that are no longer configured."""
        self._report.health.forget([f"token {name}" for name in tenants])


def _subject(connection: Connection) -> str:
    return f"token {connection.tenant.name}"
