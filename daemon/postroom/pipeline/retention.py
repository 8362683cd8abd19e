"""Retention: in small steps beside live mail, drop what need not be known any longer.

First the details of mail that was settled long ago; much later the ids of mail that its mailbox does not have any more.
An id of a mail that still exists is never forgotten: its folder may be listed again, and the mail would be new.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from postroom.errors import JournalError
from postroom.model import RetentionPolicy
from postroom.pipeline.forgetting import Forgetting
from postroom.pipeline.pruning import prune
from postroom.ports import Clock, Journal, Mail, Report

SLOW = 60.0
"""Seconds between two runs when nothing is hurried."""

RUNS_TO_SWEEP = 60
"""Runs after which all is looked at again from the beginning, for what was not settled the first time: an hour."""

SENT_KEPT = timedelta(days=90)
"""How long it is remembered that a mail was sent, and to whom: longer than anybody retries what died."""

SENT_AT_ONCE = 200
"""Mails of ours that are forgotten in one run."""


def interval(policy: RetentionPolicy) -> float:
    """Return the seconds between two runs: a minute, and less where the policy's periods are short."""
    shortest = min((each for each in (policy.snapshots, policy.ids) if each is not None), default=SLOW * 20)
    return min(SLOW, max(1.0, shortest / 20))


class Retention:
    """Runs at intervals and never beside itself.

    Attributes:
        policy: Of the present configuration; a reload replaces it, and `mails`.
        mails: Mailbox address -> the mailbox.
    """

    def __init__(self, *, journal: Journal, clock: Clock, report: Report) -> None:
        self.policy = RetentionPolicy(None, None)
        self.mails: Mapping[str, Mail] = {}
        self._journal = journal
        self._clock = clock
        self._report = report
        self._pruned_to = self._sweeping = 0
        self._sends_looked_at, self._more_sends = 0, False
        self._forgetting = Forgetting(journal=journal, clock=clock, report=report)

    async def run(self) -> None:
        """Prune what is due and ask after some of what may be forgotten; an error ends it until the next time."""
        try:
            await self._prune()
            if self.policy.ids is not None:
                await self._forgetting.run(self.policy.ids, self.mails)
            await self._forget_sends()
        except JournalError as error:
            self._report.problem("retention", error)
        else:
            self._report.recovered("retention")

    async def _prune(self) -> None:
        if self.policy.snapshots is None:
            return
        before = self._clock.now() - timedelta(seconds=self.policy.snapshots)
        until = self._clock.monotonic() + interval(self.policy) / 2
        self._sweeping += 1
        if self._sweeping % RUNS_TO_SWEEP == 0:
            self._pruned_to = 0
        async for step in prune(self._journal, before, self._pruned_to, clock=self._clock, until=until):
            if step.count:
                self._report.event("pruned", messages=step.count)
            self._pruned_to = step.upto

    async def _forget_sends(self) -> None:
        """Forget now and then what was sent long ago, and to whom; also of mailboxes that send no more."""
        if self._sends_looked_at % RUNS_TO_SWEEP == 0 or self._more_sends:
            before = self._clock.now() - SENT_KEPT
            self._more_sends = await self._journal.forget_sends(before, SENT_AT_ONCE) == SENT_AT_ONCE
        self._sends_looked_at += 1
