"""Attempts under way: each leaves a settlement, whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from random import Random

from postroom.model import Delivery, Outcome, Reject, Retry, Settlement
from postroom.pipeline.context import AttemptContext
from postroom.pipeline.desk import Desk, OpenHandler
from postroom.pipeline.handle import crashed, for_the_log, handle
from postroom.pipeline.settle import cut_off, decide
from postroom.plugin import Log
from postroom.ports import Clock, Journal, Report

OVERDRAWN = "was the last, and the daemon died while it ran: it is not run again"
"""What became of the attempts of a delivery that is dead without being run once more."""

GRACE = 10.0
"""Seconds an attempt has to end after its time limit; one that swallows its cancellation is given up then."""

LONGEST_STRETCH = 0.01
"""Seconds that handlers which need not wait are run one after the other before others get the event loop."""


@dataclass(slots=True, eq=False)
class _Attempt:
    """An attempt, when it was started (monotonic seconds), and how far it has come."""

    desk: Desk
    handler: OpenHandler
    delivery: Delivery
    started_at: datetime
    started: float
    has_begun: bool = False
    is_settled: bool = False
    given_up: bool = False

    def is_overdue(self, now: float) -> bool:
        """Say whether it is not waited for any longer."""
        return self.has_begun and not self.is_settled and now >= self.started + self.handler.timeout + GRACE


class Attempts:
    """Runs claimed deliveries, each in a task of its own, so that none keeps another from running.

    Args:
        bind_log: Makes the bound logger for a delivery.
        ended: Called when an attempt has left its settlement.

    Attributes:
        finished: Settlements that the journal does not have yet; whoever stores them takes them out.
        busy: Handler name -> how many places are taken: by deliveries that run, and by those a page may bring.
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
        self._stretch: float | None = None
        self._stopping = False

    def __bool__(self) -> bool:
        """Say whether anything runs, is about to, or waits to be stored."""
        return bool(self.finished) or any(self.busy.values())

    def start(self, desk: Desk, deliveries: Iterable[Delivery], now: datetime) -> None:
        """Run deliveries that were claimed for handlers of `desk`."""
        started = self._clock.monotonic()
        for delivery in deliveries:
            attempt = _Attempt(desk, desk.handlers[delivery.handler], delivery, now, started)
            desk.begin()
            self.busy[delivery.handler] += 1
            # A clean context: what a handler leaves in it is not for the next mail's handler to see.
            task = asyncio.create_task(self._run(attempt), context=Context())
            self._running[task] = attempt
            task.add_done_callback(self._let_go)

    def give_back(self, deliveries: Iterable[Delivery], now: datetime) -> None:
        """Return deliveries that were claimed but shall not run any more."""
        self.finished += [Settlement(delivery, cut_off(now), now, now) for delivery in deliveries]

    def give_up_overdue(self) -> None:
        """Settle attempts that go on in spite of being cancelled; they keep their places until they end."""
        now = self._clock.monotonic()
        for task, attempt in list(self._running.items()):
            if not attempt.is_overdue(now):
                continue
            attempt.given_up = True
            attempt.handler.strand(1)
            task.cancel()
            reason = f"TimedOut: no answer within {attempt.handler.timeout:g} s, and it cannot be stopped"
            self._finish(attempt, Retry(reason))

    async def stop(self, limit: float) -> None:
        """Let what runs finish within `limit` seconds, then cut it off; what has not begun is given back."""
        self._stopping = True
        running = [task for task, attempt in self._running.items() if not attempt.given_up]
        if running:
            await asyncio.wait(running, timeout=limit)
        for task in self._running:
            task.cancel()

    async def _run(self, attempt: _Attempt) -> None:
        """Run one attempt and leave its settlement."""
        outcome: Outcome | None = None
        try:
            await self._take_turns()
            if not self._stopping:
                attempt.has_begun, attempt.started = True, self._clock.monotonic()
                outcome = _refusal(attempt) or await self._handle(attempt)
        except asyncio.CancelledError as error:
            # A handler may also cancel its own task: that is its failure and not our stop.
            outcome = None if self._stopping else crashed(error)
        except BaseException as error:  # noqa: BLE001 - whatever went wrong around the handler, the delivery must go on
            outcome = crashed(error)
        if not attempt.given_up:
            self._finish(attempt, outcome)

    async def _take_turns(self) -> None:
        """Let others have the event loop when attempts that began in this pass of it have had it for long."""
        while self._stretch is not None and self._clock.monotonic() - self._stretch > LONGEST_STRETCH:  # noqa: ASYNC110 - one pass
            await asyncio.sleep(0)
        if self._stretch is None:
            self._stretch = self._clock.monotonic()
            asyncio.get_running_loop().call_soon(self._end_stretch)

    def _end_stretch(self) -> None:
        self._stretch = None

    def _let_go(self, task: asyncio.Task[None]) -> None:
        """Forget an attempt that has ended, whatever ended it; no delivery stays behind unsettled."""
        attempt = self._running.pop(task)
        attempt.desk.end()
        if attempt.given_up:
            attempt.handler.strand(-1)
        if not attempt.is_settled:
            error = None if task.cancelled() else task.exception()
            self._finish(attempt, None if error is None else crashed(error))

    def _handle(self, attempt: _Attempt) -> Awaitable[Outcome]:
        desk, delivery = attempt.desk, attempt.delivery
        context = AttemptContext(
            delivery,
            mail=desk.mails[delivery.message.mailbox],
            journal=self._journal,
            clock=self._clock,
            http=desk.http,
            bind_log=self._bind_log,
        )
        return handle(attempt.handler, delivery, context)

    def _finish(self, attempt: _Attempt, outcome: Outcome | None) -> None:
        """Leave the settlement of an attempt; without an outcome it was cut off."""
        delivery, now = attempt.delivery, self._clock.now()
        if outcome is None:
            verdict = cut_off(now)
        else:
            verdict = decide(outcome, delivery, attempt.handler.retry, now, self._random)
        attempt.is_settled = True
        self.busy[delivery.handler] -= 1
        self.finished.append(Settlement(delivery, verdict, attempt.started_at, now))
        self._ended()
        self._report.event(
            "delivery",
            mailbox=delivery.message.mailbox,
            folder=delivery.message.folder,
            message=delivery.message_id,
            delivery=delivery.id,
            handler=delivery.handler,
            rule=delivery.rule,
            attempt=delivery.attempt,
            state=verdict.state.value,
            seconds=self._clock.monotonic() - attempt.started,
            note=verdict.note,
            error=for_the_log(verdict.error),
        )


def _refusal(attempt: _Attempt) -> Outcome | None:
    """Say why an attempt is not made at all, if it is not."""
    handler, delivery = attempt.handler, attempt.delivery
    if delivery.message.mailbox not in attempt.desk.mails:
        return Retry(f"Mailbox {delivery.message.mailbox} is not in the configuration any more")
    if delivery.suspect and delivery.attempt > handler.retry.attempts + delivery.granted:
        return Reject(f"attempt {delivery.attempt - 1} {OVERDRAWN}")
    return None
