"""What becomes of a finished attempt, all things considered: our own stop, the mailbox, the weather, the policy."""

from __future__ import annotations

from datetime import datetime, timedelta

from postroom.model import DeliveryState, Outcome, Retry, Verdict
from postroom.pipeline.attempt import Attempt
from postroom.pipeline.breakers import Breakers
from postroom.pipeline.crowding import Crowding
from postroom.pipeline.excuses import Excuses
from postroom.pipeline.settle import DONE, PLAIN, Random, cut_off, decide, forgive
from postroom.pipeline.unserved import ABSENT_WAIT
from postroom.ports import Clock


class Verdicts:
    """Decides in order: what was cut off, what is the mailbox's fault, what the weather's, and what the mail's."""

    def __init__(self, *, breakers: Breakers, crowding: Crowding, clock: Clock, random: Random) -> None:
        self._breakers = breakers
        self._crowding = crowding
        self._excuses = Excuses(clock)
        self._random = random
        self._clock = clock

    def on(self, attempt: Attempt, outcome: Outcome | None, now: datetime) -> Verdict:
        """Return the verdict on an attempt; without an outcome it was cut off."""
        if isinstance(outcome, Retry):
            verdict = self._failed(attempt, outcome, now)
            if (trouble := _trouble(attempt)) is not None and verdict.state is DeliveryState.READY:
                self._crowding.failed(attempt, trouble)
                return verdict
        else:
            verdict = self._ended(attempt, outcome, now)
        if self._crowding:
            self._crowding.ended(attempt)
        return verdict

    def _failed(self, attempt: Attempt, outcome: Retry, now: datetime) -> Verdict:
        if (mailbox := attempt.delivery.message.mailbox) not in attempt.desk.mails:
            attempt.desk.absent[mailbox] = self._clock.monotonic()
            return forgive(outcome, now + timedelta(seconds=ABSENT_WAIT))
        if (wait := self._excuse(attempt)) is not None:
            self._tell(attempt, None)
            return forgive(outcome, now + timedelta(seconds=wait))
        if self._tell(attempt, None if attempt.is_refused else outcome):
            return forgive(outcome, now + timedelta(seconds=_asked_for(outcome, attempt)))
        return decide(outcome, attempt.delivery, attempt.handler.retry, now, self._random)

    def _ended(self, attempt: Attempt, outcome: Outcome | None, now: datetime) -> Verdict:
        self._excuses.forget(attempt.delivery.id)
        if self._breakers:
            self._tell(attempt, outcome)
        if outcome is None:
            return cut_off(now, begun=attempt.has_begun)
        if outcome is DONE:
            return PLAIN
        return decide(outcome, attempt.delivery, attempt.handler.retry, now, self._random)

    def _excuse(self, attempt: Attempt) -> float | None:
        """Return the seconds to wait at no cost when its mailbox could not be asked, else None."""
        delivery, trouble = attempt.delivery, _trouble(attempt)
        if trouble is None or attempt.handler.retry.attempts == 1:
            self._excuses.forget(delivery.id)
            return None
        answered_at = attempt.desk.mails[delivery.message.mailbox].answered_at
        return self._excuses.wait(delivery.id, trouble, answered_at, attempt.handler.retry.first)

    def _tell(self, attempt: Attempt, outcome: Outcome | None) -> bool:
        """Tell the breaker, None for what says nothing of the weather; returns whether the weather is the cause."""
        return self._breakers.hear(attempt.handler, attempt.delivery, outcome, attempt.started_at)


def _trouble(attempt: Attempt) -> BaseException | None:
    return attempt.context.trouble if attempt.context is not None else None


def _asked_for(outcome: Retry, attempt: Attempt) -> float:
    """Return the seconds until the handler wants to see the mail again, within its policy; 0 where it does not say."""
    return min(max(outcome.after or 0.0, 0.0), attempt.handler.retry.longest)
