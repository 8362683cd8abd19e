"""Attempts under way: each runs in a task of its own and leaves a settlement, whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random

from postroom.model import Delivery, Outcome, Retry, Settlement, Verdict
from postroom.pipeline.context import AttemptContext
from postroom.pipeline.desk import Desk, OpenHandler
from postroom.pipeline.handle import crashed, handle
from postroom.pipeline.settle import cut_off, decide
from postroom.plugin import Log
from postroom.ports import Clock, Journal, Report

OVERDRAWN = "It was running each time the daemon died"
"""Why a delivery whose attempts ran out in crashes is dead without being run again."""

GRACE = 10.0
"""Seconds an attempt has to end after its time limit; one that swallows its cancellation is given up then."""


@dataclass(slots=True, eq=False)
class _Attempt:
    """An attempt under way, and until when it is waited for (monotonic seconds)."""

    desk: Desk
    handler: OpenHandler
    delivery: Delivery
    started_at: datetime
    started: float
    given_up: bool = False

    @property
    def deadline(self) -> float:
        return self.started + self.handler.timeout + GRACE


class Attempts:
    """Runs claimed deliveries.

    Args:
        bind_log: Makes the bound logger for a delivery.
        ended: Called when an attempt has left its settlement.

    Attributes:
        finished: Settlements that the journal does not have yet; whoever stores them takes them out.
        busy: Handler name -> how many of its deliveries run.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        report: Report,
        bind_log: Callable[[Delivery], Log],
        ended: Callable[[], None],
        random: Random | None = None,
    ) -> None:
        self.finished: list[Settlement] = []
        self.busy: Counter[str] = Counter()
        self._journal = journal
        self._clock = clock
        self._report = report
        self._bind_log = bind_log
        self._ended = ended
        self._random = (random or Random()).random  # noqa: S311 - jitter, not a secret
        self._running: dict[asyncio.Task[None], _Attempt] = {}

    def __bool__(self) -> bool:
        """Say whether anything runs or waits to be stored."""
        return bool(self._running or self.finished)

    def start(self, desk: Desk, delivery: Delivery, now: datetime) -> None:
        """Run a delivery that was claimed for a handler of `desk`."""
        attempt = _Attempt(desk, desk.handlers[delivery.handler], delivery, now, self._clock.monotonic())
        desk.begin()
        self.busy[delivery.handler] += 1
        task = asyncio.create_task(self._run(attempt))
        self._running[task] = attempt

    def give_back(self, delivery: Delivery, now: datetime) -> None:
        """Return a delivery that was claimed but shall not run any more."""
        self.finished.append(Settlement(delivery, cut_off(now), now, now))

    def give_up_overdue(self) -> None:
        """Settle attempts that go on in spite of being cancelled; they keep their places until they end."""
        now = self._clock.monotonic()
        for task, attempt in list(self._running.items()):
            if now < attempt.deadline:
                continue
            del self._running[task]
            attempt.given_up = True
            attempt.handler.strand(1)
            task.cancel()
            reason = f"TimedOut: no answer within {attempt.handler.timeout:g} s, and it cannot be stopped"
            self._finish(attempt, self._decide(attempt, Retry(reason)))

    async def stop(self, limit: float) -> None:
        """Let what runs finish within `limit` seconds, then cut it off."""
        if self._running:
            await asyncio.wait(list(self._running), timeout=limit)
        for task in self._running:
            task.cancel()

    async def _run(self, attempt: _Attempt) -> None:
        try:
            verdict = self._decide(attempt, await self._outcome(attempt))
        except asyncio.CancelledError:
            verdict = cut_off(self._clock.now())
        except Exception as error:  # noqa: BLE001 - whatever went wrong around the handler, the delivery must go on
            verdict = self._decide(attempt, crashed(error))
        attempt.desk.end()
        if attempt.given_up:
            attempt.handler.strand(-1)
            return
        if (task := asyncio.current_task()) is not None:
            del self._running[task]
        self._finish(attempt, verdict)

    async def _outcome(self, attempt: _Attempt) -> Outcome:
        desk, handler, delivery = attempt.desk, attempt.handler, attempt.delivery
        mail = desk.mails.get(delivery.message.mailbox)
        if mail is None:
            return Retry(f"Mailbox {delivery.message.mailbox} is not in the configuration any more")
        if delivery.suspect and delivery.attempt > handler.retry.attempts + delivery.granted:
            return Retry(OVERDRAWN)
        log = self._bind_log(delivery)
        context = AttemptContext(delivery, mail=mail, journal=self._journal, clock=self._clock, http=desk.http, log=log)
        return await handle(handler, delivery, context)

    def _decide(self, attempt: _Attempt, outcome: Outcome) -> Verdict:
        return decide(outcome, attempt.delivery, attempt.handler.retry, self._clock.now(), self._random)

    def _finish(self, attempt: _Attempt, verdict: Verdict) -> None:
        delivery = attempt.delivery
        self.busy[delivery.handler] -= 1
        self.finished.append(Settlement(delivery, verdict, attempt.started_at, self._clock.now()))
        self._ended()
        self._report.event(
            "delivery",
            mailbox=delivery.message.mailbox,
            folder=delivery.message.folder,
            message=delivery.message_id,
            handler=delivery.handler,
            rule=delivery.rule,
            attempt=delivery.attempt,
            state=verdict.state.value,
            seconds=self._clock.monotonic() - attempt.started,
            note=verdict.note,
            error=verdict.error,
        )
