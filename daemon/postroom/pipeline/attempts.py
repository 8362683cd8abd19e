"""Attempts under way: each leaves a settlement, whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from postroom.failpoints import reach
from postroom.model import Delivery, Outcome, Reject, Retry, Settlement, Verdict
from postroom.pipeline.context import AttemptContext
from postroom.pipeline.desk import Desk, OpenHandler
from postroom.pipeline.excuses import Excuses
from postroom.pipeline.handle import crashed, for_the_log, handle
from postroom.pipeline.settle import PLAIN, cut_off, decide, forgive
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
    """An attempt, when it began to run and when it ended (monotonic seconds), and how far it has come."""

    desk: Desk
    handler: OpenHandler
    delivery: Delivery
    started_at: datetime
    started: float = 0.0
    ended: float = 0.0
    has_begun: bool = False
    is_settled: bool = False
    has_ended: bool = False
    given_up: bool = False
    context: AttemptContext | None = None

    def is_overdue(self, now: float) -> bool:
        """Say whether it is not waited for any longer."""
        return self.has_begun and not self.is_settled and now >= self.started + self.handler.timeout + GRACE


class Attempts:
    """Runs claimed deliveries; none keeps another from running.

    A worker, a task with a clean context, runs what is queued, one after the other, as long as handlers need not wait
    and leave no trace in it. Whoever has to wait has the worker to himself, and a new one takes over the queue: so what
    is done at once costs no task, and what is not has its own.

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
        self._excuses = Excuses(clock)
        self._queue: deque[_Attempt] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._running: dict[asyncio.Task[None], _Attempt] = {}
        self._stopping = False

    def __bool__(self) -> bool:
        """Say whether anything runs, is about to, or waits to be stored."""
        return bool(self.finished) or any(self.busy.values())

    def start(self, desk: Desk, deliveries: Iterable[Delivery], now: datetime) -> None:
        """Run deliveries that were claimed for handlers of `desk`."""
        for delivery in deliveries:
            self._queue.append(_Attempt(desk, desk.handlers[delivery.handler], delivery, now))
            desk.begin()
            self.busy[delivery.handler] += 1
        if self._worker is None:
            self._hire()

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

    def _hire(self) -> None:
        """Have what is queued run by a new worker, if there is anything."""
        self._worker = None
        if self._queue:
            # A clean context: what a handler leaves in its own is not for the next mail's handler to see.
            self._worker = asyncio.create_task(self._work(), context=Context())
            self._worker.add_done_callback(self._let_go)

    async def _work(self) -> None:
        task, began = asyncio.current_task(), self._clock.monotonic()
        assert task is not None
        while self._queue and self._worker is task:
            attempt = self._running[task] = self._queue.popleft()
            await self._run(attempt)
            self._end(attempt)
            if copy_context() or task.cancelling() or attempt.ended - began > LONGEST_STRETCH:
                return

    def _let_go(self, worker: asyncio.Task[None]) -> None:
        """Forget a worker that has ended, whatever ended it; no delivery stays behind unsettled or unrun."""
        attempt = self._running.pop(worker, None)
        if attempt is not None and not attempt.has_ended:
            self._end(attempt, None if worker.cancelled() else worker.exception())
        if worker is self._worker:
            self._hire()

    async def _run(self, attempt: _Attempt) -> None:
        """Run one attempt and leave its settlement."""
        outcome: Outcome | None = None
        reach("handler.starting")
        try:
            if not self._stopping:
                attempt.has_begun, attempt.started = True, self._clock.monotonic()
                outcome = _refusal(attempt) or await self._handle(attempt)
        except asyncio.CancelledError as error:
            # A handler may also cancel its own task: that is its failure and not our stop.
            outcome = None if self._stopping else crashed(error)
        except BaseException as error:  # noqa: BLE001 - whatever went wrong around the handler, the delivery must go on
            outcome = crashed(error)
        reach("handler.ended")
        if not attempt.given_up:
            self._finish(attempt, outcome)

    def _end(self, attempt: _Attempt, error: BaseException | None = None) -> None:
        """Give an attempt's place back, and see to it that it is settled."""
        attempt.has_ended = True
        attempt.desk.end()
        if attempt.given_up:
            attempt.handler.strand(-1)
        if not attempt.is_settled:
            self._finish(attempt, None if error is None else crashed(error))

    def _handle(self, attempt: _Attempt) -> Awaitable[Outcome]:
        desk, delivery = attempt.desk, attempt.delivery
        attempt.context = context = AttemptContext(
            delivery,
            mail=desk.mails[delivery.message.mailbox],
            journal=self._journal,
            clock=self._clock,
            http=desk.http,
            bind_log=self._bind_log,
        )
        return handle(attempt.handler, delivery, context, self._hire)

    def _finish(self, attempt: _Attempt, outcome: Outcome | None) -> None:
        """Leave the settlement of an attempt; without an outcome it was cut off."""
        delivery, now = attempt.delivery, self._clock.now()
        if outcome is None:
            verdict = cut_off(now)
        else:
            verdict = self._excused(attempt, outcome, now) or decide(
                outcome, delivery, attempt.handler.retry, now, self._random
            )
        attempt.is_settled = True
        self.busy[delivery.handler] -= 1
        self.finished.append(Settlement(delivery, verdict, attempt.started_at, now))
        reach("outcome.in_hand")
        self._ended()
        attempt.ended = self._clock.monotonic()
        self._tell(delivery, verdict, attempt.ended - attempt.started)

    def _excused(self, attempt: _Attempt, outcome: Outcome, now: datetime) -> Verdict | None:
        """Return the verdict on an attempt that failed because its mailbox could not be asked, if it did."""
        delivery, trouble = attempt.delivery, attempt.context.trouble if attempt.context is not None else None
        if trouble is None or not isinstance(outcome, Retry):
            self._excuses.forget(delivery.id)
            return None
        answered_at = attempt.desk.mails[delivery.message.mailbox].answered_at
        wait = self._excuses.wait(delivery.id, trouble, answered_at, attempt.handler.retry.first)
        return None if wait is None else forgive(outcome, now + timedelta(seconds=wait))

    def _tell(self, delivery: Delivery, verdict: Verdict, seconds: float) -> None:
        if verdict is PLAIN:
            self._report.done(delivery, seconds)
            return
        error = verdict.error and for_the_log(verdict.error)
        told = {"state": verdict.state.value, "seconds": seconds, "note": verdict.note, "error": error}
        self._report.event("delivery", **delivery.labels, **told)


def _refusal(attempt: _Attempt) -> Outcome | None:
    """Say why an attempt is not made at all, if it is not."""
    handler, delivery = attempt.handler, attempt.delivery
    if delivery.message.mailbox not in attempt.desk.mails:
        return Retry(f"Mailbox {delivery.message.mailbox} is not in the configuration any more")
    if delivery.suspect and delivery.attempt > handler.retry.attempts + delivery.granted:
        return Reject(f"attempt {delivery.attempt - 1} {OVERDRAWN}")
    return None
