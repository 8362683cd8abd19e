"""Forgets the ids of old mail that its mailbox does not have any more, having asked Graph twice after each."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import chain

from postroom.errors import AuthError, GraphError
from postroom.pipeline.limits import within
from postroom.ports import Clock, Journal, Mail, Report

ASKED = 300
"""Messages asked after in one run: with a run a minute 432,000 a day, a third of what one mailbox is allowed."""

ASKED_AT_ONCE = 4
"""Mailboxes that are asked at the same time, each one question after the other."""

ASK_LIMIT = 90.0
"""Seconds that one question may take; the request in it has its own, shorter limit."""

RUNS_TO_ASK = 1440
"""Runs after which those that still existed are asked after again: a day."""

CERTAIN = 3600.0
"""Seconds after which it is asked again whether a mail is gone, and it is forgotten only then.

A page that was fetched while the mail was there is stored long before: to a journal without its id the mail were new.
"""

Known = tuple[int, str, str]
"""A message's id in the journal, its mailbox, and Graph's id of it."""


def certain(period: float) -> float:
    """Return the seconds between the two questions: an hour, and less where ids are kept for less than a day."""
    return min(CERTAIN, period / 20)


class Forgetting:
    """Goes through all that is old, some in each run; what it has found gone once is kept in memory only."""

    def __init__(self, *, journal: Journal, clock: Clock, report: Report) -> None:
        self._journal = journal
        self._clock = clock
        self._report = report
        self._asked_to = self._asking = 0
        self._gone_once: deque[tuple[float, Sequence[Known]]] = deque()

    async def run(self, period: float, mails: Mapping[str, Mail]) -> None:
        """Go on where the last run ended, with mail seen more than `period` seconds ago in one of `mails`."""
        self._asking += 1
        if self._asking % RUNS_TO_ASK == 0:
            self._asked_to = 0
        again = self._to_ask_again(certain(period))
        found = await self._journal.forgettable(self._clock.now() - timedelta(seconds=period), self._asked_to, ASKED)
        self._asked_to = found.upto
        gone = await _gone([*again, *found.messages], mails)
        if sure := [key for key, _, _ in again if key in gone]:
            self._report.event("forgotten", messages=await self._journal.forget(sure))
        if once := [each for each in found.messages if each[0] in gone]:
            self._gone_once.append((self._clock.monotonic(), once))

    def _to_ask_again(self, wait: float) -> Sequence[Known]:
        """Take those of one run that have been gone for so long."""
        if self._gone_once and self._gone_once[0][0] <= self._clock.monotonic() - wait:
            return self._gone_once.popleft()[1]
        return ()


async def _gone(asked: Sequence[Known], mails: Mapping[str, Mail]) -> set[int]:
    """Return those that exist no more. A mailbox that does not answer is left alone until the next time."""
    of_mailbox: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for key, address, graph_id in asked:
        of_mailbox[address].append((key, graph_id))
    slots = asyncio.Semaphore(ASKED_AT_ONCE)
    questions = [_gone_from(mails[each], ids, slots) for each, ids in of_mailbox.items() if each in mails]
    return set(chain.from_iterable(await asyncio.gather(*questions)))


async def _gone_from(mail: Mail, ids: Sequence[tuple[int, str]], slots: asyncio.Semaphore) -> list[int]:
    gone: list[int] = []
    async with slots:
        for key, graph_id in ids:
            try:
                async with within(ASK_LIMIT, f"to ask after a message of {mail.address}", mail.address):
                    if await mail.is_gone(graph_id):
                        gone.append(key)
            except (GraphError, AuthError):  # polling the same mailbox meets it too, and says so
                break
    return gone
