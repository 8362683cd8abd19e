"""Attempts under way: each leaves a settlement, whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import Context, copy_context
from datetime import datetime
from itertools import chain
from random import Random
from typing import Any

from postroom.errors import HandlerError
from postroom.failpoints import reach
from postroom.model import Delivery, Outcome, Retry, Settlement, Verdict
from postroom.pipeline.attempt import Attempt
from postroom.pipeline.breakers import Breakers
from postroom.pipeline.context import AttemptContext
from postroom.pipeline.crowding import Crowding
from postroom.pipeline.desk import Desk
from postroom.pipeline.handle import crashed, for_the_log, handle
from postroom.pipeline.limits import spell
from postroom.pipeline.settle import PLAIN, cut_off, overrun
from postroom.pipeline.verdicts import Verdicts
from postroom.plugin import Log
from postroom.ports import Clock, Journal, Report
from postroom.threads import OWNER

PATIENCE_ALONE = 60.0
"""Seconds that a delivery which is to run quite alone waits for the others to end, and keeps new ones waiting."""

LONGEST_ALONE = 60.0
"""Seconds that it then runs alone: whatever ends the process mostly does so at once, and handlers may take hours."""

SAID_AFTER = 5.0
"""Seconds of either after which it is a problem that nothing else runs."""

LONGEST_STRETCH = 0.01
"""Seconds that handlers which need not wait are run one after the other before others get the event loop."""


class Attempts:
    """Runs claimed deliveries; none keeps another from running.

    A worker, a task with a clean context, runs what is queued, one after the other, as long as handlers need not wait
    and leave no trace in it. Whoever has to wait has the worker to himself, and a new one takes over the queue: so what
    is done at once costs no task, and what is not has its own.

    Args:
        bind_log: Makes the bound logger for a delivery.
        ended: Called when an attempt has left its settlement.

    Attributes:
        alone: A suspect on its last attempt, which waits for all others to end or runs alone; nothing new is started.
        finished: Settlements that the journal does not have yet; whoever stores them takes them out.
        busy: Handler name -> how many places are taken: by deliveries that run, and by those a page may bring.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        report: Report,
        breakers: Breakers,
        bind_log: Callable[[Delivery], Log],
        ended: Callable[[], None],
        random: Random | None = None,
    ) -> None:
        self.alone: Attempt | None = None
        self._said: Attempt | None = None
        self.finished: list[Settlement] = []
        self.busy: Counter[str] = Counter()
        self._journal = journal
        self._clock = clock
        self._report = report
        self._bind_log = bind_log
        self._ended = ended
        self._queue: deque[Attempt] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._running: dict[asyncio.Task[None], Attempt] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._stopping = False
        crowding = Crowding(self._running.values, report)
        jitter = (random or Random()).random  # noqa: S311 - jitter, not a secret
        self._verdicts = Verdicts(breakers=breakers, crowding=crowding, clock=clock, random=jitter)

    def __bool__(self) -> bool:
        """Say whether anything runs, is about to, or waits to be stored."""
        return bool(self.finished) or any(self.busy.values())

    def held(self) -> dict[str, Counter[str]]:
        """Count the places that are taken by what runs or is about to: handler -> mailbox -> how many."""
        held: dict[str, Counter[str]] = defaultdict(Counter)
        for attempt in chain(self._running.values(), self._queue):
            if not attempt.is_settled:
                held[attempt.handler.name][attempt.delivery.message.mailbox] += 1
        return held

    def whose(self, task: asyncio.Task[Any]) -> Mapping[str, object]:
        """Return the labels of the delivery that a task runs; none if it runs none."""
        attempt = self._running.get(task)
        return {} if attempt is None else attempt.delivery.labels

    def start(self, desk: Desk, deliveries: Iterable[Delivery], now: datetime) -> None:
        """Run deliveries that were claimed for handlers of `desk`."""
        for delivery in deliveries:
            attempt = Attempt(desk, desk.handlers[delivery.handler], delivery, now, self._ended)
            desk.begin()
            self.busy[delivery.handler] += 1
            if delivery.suspect and attempt.wants_to_be_alone:
                self.alone, attempt.started = attempt, self._clock.monotonic()
            else:
                self._queue.append(attempt)
        if self._worker is None:
            self._hire()

    def see_to_solitude(self) -> None:
        """Run the suspect that is to be alone once nothing else runs, or when that takes too long, for a while."""
        attempt = self.alone
        if attempt is None or attempt in self._queue:
            return
        so_long = self._clock.monotonic() - attempt.started
        if so_long > SAID_AFTER and self._said is not attempt:
            self._said = attempt
            self._report.problem(f"alone {attempt.handler.name}", _kept_waiting(attempt.handler.name))
        if attempt.has_begun:
            if so_long > LONGEST_ALONE:
                self._end_solitude()
            return
        others = bool(self._queue) or any(not each.given_up for each in self._running.values())
        if not others or so_long > PATIENCE_ALONE:
            self._queue.append(attempt)
            if self._worker is None:
                self._hire()

    def _end_solitude(self) -> None:
        assert self.alone is not None
        self._report.recovered(f"alone {self.alone.handler.name}")
        self.alone = None

    def give_back(self, deliveries: Iterable[Delivery], now: datetime) -> None:
        """Return deliveries that were claimed but shall not run any more."""
        returned = [Settlement(delivery, cut_off(now), now, now) for delivery in deliveries]
        if returned:  # or else a turn that has nothing to give back would bring about the next one
            self.finished += returned
            self._ended()

    def give_up_overdue(self) -> None:
        """Settle attempts that go on in spite of being cancelled; they keep their places until they end."""
        now = self._clock.monotonic()
        for task, attempt in list(self._running.items()):
            if not attempt.is_overdue(now):
                continue
            attempt.given_up = True
            attempt.handler.strand(attempt.delivery.id, 1)
            task.cancel()
            self._close(attempt)
            reason = f"TimedOut: no answer within {attempt.handler.timeout:g} s, and it cannot be stopped"
            self._finish(attempt, Retry(reason))

    async def stop(self, limit: float) -> None:
        """Let what runs finish within `limit` seconds, then cut it off; what has not begun is given back."""
        self._stopping = True
        if self.alone is not None and not self.alone.has_begun and self.alone not in self._queue:
            self._end(self.alone)
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

    async def _run(self, attempt: Attempt) -> None:
        """Run one attempt and leave its settlement."""
        outcome: Outcome | None = None
        reach("handler.starting")
        try:
            if not self._stopping:
                attempt.has_begun, attempt.started = True, self._clock.monotonic()
                if attempt.delivery.suspect:
                    self._report.event("repeated", **attempt.delivery.labels)
                outcome = attempt.refusal()
                attempt.is_refused = outcome is not None
                owner = OWNER.set(attempt)
                try:
                    outcome = outcome or await self._handle(attempt)
                finally:
                    OWNER.reset(owner)
        except asyncio.CancelledError as error:
            # A handler may also cancel its own task: that is its failure and not our stop.
            outcome = None if self._stopping else crashed(error)
        except BaseException as error:  # noqa: BLE001 - whatever went wrong around the handler, the delivery must go on
            outcome = crashed(error)
        reach("handler.ended")
        if not attempt.given_up:
            self._finish(attempt, outcome)
        if attempt.calls and outcome is not None:
            attempt.leave_calls(outcome)
        if attempt.context is not None and (lent := attempt.context.end()) is not None:
            await lent.close()

    def _end(self, attempt: Attempt, error: BaseException | None = None) -> None:
        """Give an attempt's place back, and see to it that it is settled."""
        attempt.has_ended = True
        attempt.desk.end()
        if attempt.given_up:
            attempt.handler.strand(attempt.delivery.id, -1)
        if not attempt.is_settled:
            self._finish(attempt, None if error is None else crashed(error))

    def _close(self, attempt: Attempt) -> None:
        """Close what an attempt reads that was given up and goes on."""
        if attempt.context is not None and (lent := attempt.context.end()) is not None:
            closing = asyncio.create_task(lent.close(), context=Context())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _handle(self, attempt: Attempt) -> Awaitable[Outcome]:
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

    def _finish(self, attempt: Attempt, outcome: Outcome | None) -> None:
        """Leave the settlement of an attempt; without an outcome it was cut off."""
        delivery, now = attempt.delivery, self._clock.now()
        attempt.ended = self._clock.monotonic()
        seconds = attempt.ended - attempt.started
        verdict = overrun(self._verdicts.on(attempt, outcome, now), seconds, attempt.handler.timeout)
        attempt.is_settled = True
        if attempt is self.alone:
            self._end_solitude()
        self.busy[delivery.handler] -= 1
        self.finished.append(Settlement(delivery, verdict, attempt.started_at, now))
        reach("outcome.in_hand")
        if len(self.finished) == 1:  # whoever stores them comes for all of them
            self._ended()
        self._tell(delivery, verdict, seconds)

    def _tell(self, delivery: Delivery, verdict: Verdict, seconds: float) -> None:
        if verdict is PLAIN:
            self._report.done(delivery, seconds)
            return
        error = verdict.error and for_the_log(verdict.error)
        told = {"state": verdict.state.value, "seconds": seconds, "note": verdict.note, "error": error}
        forgiven = {"forgiven": True} if verdict.forgiven and verdict.counted else {}
        self._report.event("delivery", **delivery.labels, **told, **forgiven)


def _kept_waiting(handler: str) -> HandlerError:
    return HandlerError(
        f"Nothing else runs while a mail has its last attempt at the handler {handler}: it may have ended the daemon, "
        "so it is tried alone.",
        remedy=f"Wait: the others go on when it has ended, or {spell(LONGEST_ALONE)} after it began.",
        handler=handler,
    )
