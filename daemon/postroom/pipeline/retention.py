"""Retention: in small steps beside live mail, drop what need not be known any longer.

First the details of mail that was settled long ago; much later the ids of mail that its mailbox does not have any more.
An id of a mail that still exists is never forgotten: its folder may be listed again, and the mail would be new.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import chain

from postroom.errors import AuthError, GraphError, JournalError
from postroom.model import RetentionPolicy
from postroom.pipeline.limits import within
from postroom.pipeline.pruning import prune
from postroom.ports import Clock, Journal, Mail, Report

Known = tuple[int, str, str]
"""A message's id in the journal, its mailbox, and Graph's id of it."""

ASKED = 300
"""Messages asked after in one run: with a run a minute 432,000 a day, a third of what one mailbox is allowed."""

SLOW = 60.0
"""Seconds between two runs when nothing is hurried."""

ASKED_AT_ONCE = 4
"""Mailboxes that are asked at the same time, each one question after the other."""

ASK_LIMIT = 90.0
"""Seconds that one question may take; the request in it has its own, shorter limit."""

RUNS_TO_SWEEP = 60
"""Runs after which all is looked at again from the beginning, for what was not settled the first time: an hour."""

CERTAIN = 3600.0
"""Seconds after which a mail that is gone is asked after once more, to be forgotten if it is: pages that were fetched while
it was there are stored long before, and would be of a new mail if it were forgotten by then."""

SENT_KEPT = timedelta(days=90)
"""How long it is remembered that a mail was sent, and to whom: longer than anybody retries what died."""

SENT_AT_ONCE = 200
"""Mails of ours that are forgotten in one run."""

RUNS_TO_ASK = 1440
"""Runs after which those that still existed are asked after again: a day."""


def interval(policy: RetentionPolicy) -> float:
    """Return the seconds between two runs: a minute, and less where the policy's periods are short."""
    shortest = min((each for each in (policy.snapshots, policy.ids) if each is not None), default=SLOW * 20)
    return min(SLOW, max(1.0, shortest / 20))


def certain(policy: RetentionPolicy) -> float:
    """Return the seconds between the two times that a mail must be gone: an hour, and less where ids go within a day."""
    return CERTAIN if policy.ids is None else min(CERTAIN, policy.ids / 20)


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
        self._asked_to = self._asking = 0
        self._forgetting, self._more_sends = 0, False
        self._gone_since: deque[tuple[float, Sequence[Known]]] = deque()

    async def run(self) -> None:
        """Prune what is due and ask after some of what may be forgotten; an error ends it until the next time."""
        try:
            await self._prune()
            await self._forget()
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

    async def _forget(self) -> None:
        """Go on where the last run ended."""
        if self.policy.ids is None:
            return
        self._asking += 1
        if self._asking % RUNS_TO_ASK == 0:
            self._asked_to = 0
        before = self._clock.now() - timedelta(seconds=self.policy.ids)
        again = self._to_ask_again()
        found = await self._journal.forgettable(before, self._asked_to, ASKED)
        self._asked_to = found.upto
        gone = await self._gone([*again, *found.messages])
        if sure := [key for key, _, _ in again if key in gone]:
            self._report.event("forgotten", messages=await self._journal.forget(sure))
        if first := [each for each in found.messages if each[0] in gone]:
            self._gone_since.append((self._clock.monotonic(), first))

    def _to_ask_again(self) -> Sequence[Known]:
        """Take those of one run that were gone and have been long enough."""
        if self._gone_since and self._gone_since[0][0] <= self._clock.monotonic() - certain(self.policy):
            return self._gone_since.popleft()[1]
        return ()

    async def _forget_sends(self) -> None:
        """Forget now and then what was sent long ago, and to whom; also of mailboxes that send no more."""
        if self._forgetting % RUNS_TO_SWEEP == 0 or self._more_sends:
            before = self._clock.now() - SENT_KEPT
            self._more_sends = await self._journal.forget_sends(before, SENT_AT_ONCE) == SENT_AT_ONCE
        self._forgetting += 1

    async def _gone(self, asked: Sequence[Known]) -> set[int]:
        """Return those that exist no more. A mailbox that does not answer is left alone until the next time."""
        of_mailbox: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for key, address, graph_id in asked:
            of_mailbox[address].append((key, graph_id))
        slots = asyncio.Semaphore(ASKED_AT_ONCE)
        gone = await asyncio.gather(*(self._gone_from(address, ids, slots) for address, ids in of_mailbox.items()))
        return set(chain.from_iterable(gone))

    async def _gone_from(self, address: str, ids: Sequence[tuple[int, str]], slots: asyncio.Semaphore) -> list[int]:
        gone: list[int] = []
        mail = self.mails.get(address)
        if mail is None:
            return gone
        async with slots:
            for key, graph_id in ids:
                try:
                    async with within(ASK_LIMIT, f"to ask after a message of {address}", address):
                        if await mail.is_gone(graph_id):
                            gone.append(key)
                except (GraphError, AuthError):  # polling the same mailbox meets it too, and says so
                    break
        return gone
