"""Attempts under way: each leaves a settlement, whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from random import Random

from postroom.model import Delivery, Outcome, Reject, Retry, Settlement
from postroom.pipeline.context import AttemptContext
from postroom.pipeline.desk import Desk, OpenHandler
from postroom.pipeline.handle import crashed, handle
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
    """An attempt, when it began to run (monotonic seconds), and whether it had to wait since."""

    desk: Desk
    handler: OpenHandler
    delivery: Delivery
    started_at: datetime
    started: float = 0.0
    waits: bool = False
    given_up: bool = False

    @property
    def deadline(self) -> float:
        """Until when it is waited for."""
        return self.started + self.handler.timeout + GRACE


class Attempts:
    """Runs claimed deliveries.

    One worker, a task, runs what is queued. Handlers that need not wait cost no task each; when one has to wait, the
    worker stays with it and a new worker takes over the queue, so that none keeps another from running.

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
        self._queue: deque[_Attempt] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._at_hand: _Attempt
        self._waiting: dict[asyncio.Task[None], _Attempt] = {}

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
        for task, attempt in list(self._waiting.items()):
            if now < attempt.deadline:
                continue
            del self._waiting[task]
            attempt.given_up = True
            attempt.handler.strand(1)
            task.cancel()
            reason = f"TimedOut: no answer within {attempt.handler.timeout:g} s, and it cannot be stopped"
            self._finish(attempt, Retry(reason))

    async def stop(self, limit: float) -> None:
        """Let what runs finish within `limit` seconds, then cut it off; what has not begun is given back."""
        while self._queue:
            attempt = self._queue.popleft()
            attempt.desk.end()
            self._finish(attempt, None)
        if self._waiting:
            await asyncio.wait(list(self._waiting), timeout=limit)
        for task in self._waiting:
            task.cancel()

    def _hire(self) -> None:
        """See to it that somebody works on the queue, if there is anything in it."""
        self._worker = asyncio.create_task(self._work()) if self._queue else None

    async def _work(self) -> None:
        """Run what is queued, as long as nothing has to wait and no handler has changed the context variables."""
        context, began = copy_context(), self._clock.monotonic()
        while self._queue and copy_context() == context:
            attempt = self._at_hand = self._queue.popleft()
            attempt.started = self._clock.monotonic()
            if await self._run(attempt):
                return
            if attempt.started - began > LONGEST_STRETCH:
                break
        self._hire()

    def _has_to_wait(self) -> None:
        """Leave the worker to the attempt at hand, and the queue to a new one."""
        attempt, task = self._at_hand, asyncio.current_task()
        assert task is not None
        attempt.waits = True
        self._waiting[task] = attempt
        self._hire()

    async def _run(self, attempt: _Attempt) -> bool:
        """Run one attempt; returns whether it had to wait."""
        outcome: Outcome | None
        try:
            outcome = _refusal(attempt) or await self._handle(attempt)
        except asyncio.CancelledError:
            outcome = None
        except Exception as error:  # noqa: BLE001 - whatever went wrong around the handler, the delivery must go on
            outcome = crashed(error)
        attempt.desk.end()
        if attempt.given_up:
            attempt.handler.strand(-1)
            return True
        if attempt.waits and (task := asyncio.current_task()) is not None:
            del self._waiting[task]
        self._finish(attempt, outcome)
        return attempt.waits

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
        return handle(attempt.handler, delivery, context, self._has_to_wait)

    def _finish(self, attempt: _Attempt, outcome: Outcome | None) -> None:
        """Leave the settlement of an attempt; without an outcome it was cut off."""
        delivery, now = attempt.delivery, self._clock.now()
        if outcome is None:
            verdict = cut_off(now)
        else:
            verdict = decide(outcome, delivery, attempt.handler.retry, now, self._random)
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
            error=verdict.error,
        )


def _refusal(attempt: _Attempt) -> Outcome | None:
    """Say why an attempt is not made at all, if it is not."""
    handler, delivery = attempt.handler, attempt.delivery
    if delivery.message.mailbox not in attempt.desk.mails:
        return Retry(f"Mailbox {delivery.message.mailbox} is not in the configuration any more")
    if delivery.suspect and delivery.attempt > handler.retry.attempts + delivery.granted:
        return Reject(f"attempt {delivery.attempt - 1} {OVERDRAWN}")
    return None
