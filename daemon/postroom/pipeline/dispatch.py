"""Claim what is due, run it, settle it: one transaction a turn does both ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from random import Random

from postroom.errors import JournalError
from postroom.model import Delivery, Outcome, Retry, Settlement
from postroom.pipeline.context import AttemptContext
from postroom.pipeline.desk import Desk, OpenHandler
from postroom.pipeline.handle import handle
from postroom.pipeline.settle import conclude, cut_off, decide
from postroom.pipeline.wake import Wake
from postroom.plugin import Log
from postroom.ports import ActionRequest, Clock, Journal, Report, Siblings

SUBJECT = "journal"

OVERDRAWN = "It was running each time the daemon died"
"""Why a delivery whose attempts ran out in crashes is dead without being run again."""


class Dispatcher:
    """Runs deliveries within the desk's limits until it is stopped.

    Args:
        desk: Replaced through the attribute of this name when the configuration is reloaded.
        bind_log: Makes the bound logger for a delivery.
        acted: Called when a settlement may have recorded mail actions.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        journal: Journal,
        clock: Clock,
        report: Report,
        bind_log: Callable[[Delivery], Log],
        acted: Callable[[], None],
        random: Random | None = None,
    ) -> None:
        self.desk = desk
        self.wake = Wake(clock, journal.next_due)
        self._journal = journal
        self._clock = clock
        self._report = report
        self._bind_log = bind_log
        self._acted = acted
        self._random = (random or Random()).random  # noqa: S311 - jitter, not a secret
        self._finished: list[Settlement] = []
        self._running: set[asyncio.Task[None]] = set()
        self._claiming = True

    async def run(self) -> None:
        """Turn after turn, until `stop` has been called and everything is settled."""
        while self._claiming or self._running or self._finished:
            self._report.progress("deliveries")
            asked = self._clock.now()
            room = self.desk.room() if self._claiming else {}
            settled, self._finished = self._finished, []
            if settled or room:
                await self._turn(settled, room, asked)
            # One pass of the loop lets handlers that need no waiting finish, so that the next turn settles them all.
            await asyncio.sleep(0)
            if not self._finished:
                await self.wake.wait(asked)

    async def stop(self, limit: float) -> None:
        """Claim nothing more, let what runs finish within `limit` seconds, then cut it off."""
        self._claiming = False
        self.wake.set()
        if self._running:
            await asyncio.wait(set(self._running), timeout=limit)
        for task in self._running:
            task.cancel()
        self.wake.set()

    async def _turn(self, settled: list[Settlement], room: dict[str, int], now: datetime) -> None:
        desk = self.desk
        try:
            claimed = await self._journal.turn(settled, room, now, self._conclude)
        except JournalError as error:
            # Nothing was stored: keep what is finished and try again, so that no outcome is lost to a full disk.
            self._finished = settled + self._finished
            self._report.problem(SUBJECT, error)
            await self._clock.sleep(1.0)
            return
        self._report.recovered(SUBJECT)
        if settled:
            self._acted()
        for delivery in claimed:
            self._start(desk, delivery, now)
        if claimed:
            self.wake.set()

    def _conclude(self, siblings: Siblings) -> list[ActionRequest]:
        return conclude(siblings, self.desk.rules.get(siblings.mailbox, {}))

    def _start(self, desk: Desk, delivery: Delivery, now: datetime) -> None:
        handler = desk.handlers[delivery.handler]
        desk.begin(handler)
        task = asyncio.create_task(self._attempt(desk, handler, delivery, now))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _attempt(self, desk: Desk, handler: OpenHandler, delivery: Delivery, started: datetime) -> None:
        """Run one attempt and hand its settlement to the next turn."""
        clock_start = self._clock.monotonic()
        try:
            outcome = await self._outcome(desk, handler, delivery)
            verdict = decide(outcome, delivery, handler.retry, self._clock.now(), self._random)
        except asyncio.CancelledError:
            verdict = cut_off(self._clock.now())
        finally:
            desk.end(handler)
        self._finished.append(Settlement(delivery, verdict, started, self._clock.now()))
        self._report.event(
            "delivery",
            mailbox=delivery.message.mailbox,
            folder=delivery.message.folder,
            message=delivery.message_id,
            handler=delivery.handler,
            rule=delivery.rule,
            attempt=delivery.attempt,
            state=verdict.state.value,
            seconds=self._clock.monotonic() - clock_start,
            note=verdict.note,
            error=verdict.error,
        )
        self.wake.set()

    async def _outcome(self, desk: Desk, handler: OpenHandler, delivery: Delivery) -> Outcome:
        mail = desk.mails.get(delivery.message.mailbox)
        if mail is None:
            return Retry(f"Mailbox {delivery.message.mailbox} is not in the configuration any more")
        if delivery.suspect and delivery.attempt > handler.retry.attempts + delivery.granted:
            return Retry(OVERDRAWN)
        context = AttemptContext(
            delivery,
            mail=mail,
            journal=self._journal,
            clock=self._clock,
            http=desk.http,
            log=self._bind_log(delivery),
        )
        return await handle(handler, delivery, context)
