"""From the entries of a page to what is stored of it: which are new, which rules apply, what has to be read first."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from postroom.errors import GraphError, NotFound, Refused, RuleError, Throttled
from postroom.model import Message
from postroom.pipeline.limits import within
from postroom.pipeline.route import as_matched, route
from postroom.ports import Clock, Entry, Journal, Mail, MatchedRule, NewMessage, Report, WatchedFolder
from postroom.rule import Rule

LOOK_LIMIT = 180.0
"""Seconds to read what one message's entry does not tell; each request in it has its own, shorter limit."""

LOOKS_AT_ONCE = 2
"""Messages of a page that are read at once: it leaves handlers some of the mailbox's requests in flight."""

GONE_WAIT = 2.0
"""Seconds after which a message that was not found is asked for again: fresh mail has been seen to answer 404."""

PATIENCE = 5
"""Rounds in a row that one message may fail before it becomes a dead letter, so that it does not stop its folder."""

T = TypeVar("T")


class Examiner:
    """Examines one folder's pages. Remembers which messages could not be read in the last rounds.

    Attributes:
        looked: Messages that had to be read, so far.
    """

    def __init__(self, rules: Sequence[Rule], *, mail: Mail, journal: Journal, clock: Clock, report: Report) -> None:
        self._rules = rules
        self._mail = mail
        self._journal = journal
        self._clock = clock
        self._report = report
        self.looked = 0
        self._failures: Counter[str] = Counter()
        self._matched: dict[tuple[str, ...], tuple[MatchedRule, ...]] = {}

    async def examine(self, folder: WatchedFolder, entries: Sequence[Entry]) -> list[NewMessage]:
        """Return what is to be stored of a page; `@removed` is only a hint (message-delta docs).

        Raises GraphError and AuthError when a message cannot be read now but may be later.
        """
        now = self._clock.now()
        found: dict[str, NewMessage] = {}
        unclear: list[Entry] = []
        for entry in entries:
            if entry.removed:
                continue
            new = None if entry.message is None else self._at_once(folder, entry.message, now)
            if new is None:
                unclear.append(entry)
            else:
                found[entry.id] = new
        looked_at = await self._look(folder, unclear, now) if unclear else []
        self._failures.clear()
        return [*found.values(), *looked_at]

    def _at_once(self, folder: WatchedFolder, message: Message, now: datetime) -> NewMessage | None:
        """Say what becomes of a message without reading more of it; None when that cannot be said."""
        if folder.walk == "full" and folder.floor is not None and message.received_at < folder.floor:
            return NewMessage(message, dispatch=False)
        try:
            routing = route(message, self._rules, now)
        except RuleError as error:
            return self._beyond_rules(message, error)
        return None if routing.missing else NewMessage(message, self._as_matched(routing.matched))

    def _beyond_rules(self, message: Message, error: RuleError) -> NewMessage:
        """Make dead letters of a mail that a rule cannot be evaluated for, for every handler that might be meant."""
        return NewMessage(message, self._as_matched(tuple(self._rules)), failure=str(error))

    def _as_matched(self, rules: tuple[Rule, ...]) -> tuple[MatchedRule, ...]:
        """Return what is stored of these rules; most mail matches as other mail did, and shares it."""
        names = tuple([rule.name for rule in rules])
        matched = self._matched.get(names)
        if matched is None:
            matched = self._matched[names] = as_matched(rules)
        return matched

    async def _look(self, folder: WatchedFolder, entries: Sequence[Entry], now: datetime) -> list[NewMessage]:
        """Read what is missing of those that are new; updates of known mail need nothing."""
        known = await self._journal.known(folder.key, [entry.id for entry in entries])
        slots = asyncio.Semaphore(LOOKS_AT_ONCE)

        async def look(entry: Entry) -> NewMessage | None:
            async with slots:
                found = await self._one(folder, entry, now)
            self.looked += 1
            return found

        new = {entry.id: entry for entry in entries if entry.id not in known}
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(look(entry)) for entry in new.values()]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [found for task in tasks if (found := task.result()) is not None]

    async def _one(self, folder: WatchedFolder, entry: Entry, now: datetime) -> NewMessage | None:
        """Read one message as far as its rules need; None when it is gone."""
        message = entry.message
        try:
            async with within(LOOK_LIMIT, f"to read a message in {folder.name} of {folder.mailbox}", folder.mailbox):
                if message is None:
                    message = await self._twice(lambda: self._mail.message(entry.id, folder.name))
                if message is None:
                    return None
                return self._at_once(folder, message, now) or await self._with_details(message, now)
        except RuleError as error:
            assert message is not None
            return self._beyond_rules(message, error)
        except GraphError as error:
            if self._may_pass(entry.id, error):
                raise
            return self._unreadable(folder, message or _stub(folder, entry.id, now), error, known=message is not None)

    async def _with_details(self, message: Message, now: datetime) -> NewMessage:
        routing = route(message, self._rules, now)
        try:
            details = await self._twice(lambda: self._mail.details(message.id, routing.missing))
        except NotFound:
            # Of fresh mail the details may be missing for longer; only the message itself tells that it is gone.
            if await self._mail.message(message.id, message.folder) is not None:
                raise
            return NewMessage(message, self._as_matched(routing.matched))
        routing = route(message, self._rules, now, details)
        if routing.missing:
            raise Refused(
                f"Graph did not tell the {' and '.join(sorted(routing.missing))} of a message.",
                remedy="Look at the rule: it asks for something this mail does not have.",
                mailbox=message.mailbox,
            )
        return NewMessage(message, self._as_matched(routing.matched))

    async def _twice(self, read: Callable[[], Awaitable[T]]) -> T:
        """Read something, and when it is not there once more a little later."""
        try:
            found = await read()
        except NotFound:
            found = None
        if found is None:
            await self._clock.sleep(GONE_WAIT)
            found = await read()
        return found

    def _may_pass(self, message_id: str, error: GraphError) -> bool:
        """Say whether the whole page had better be tried again later. A throttled mailbox says nothing of the mail."""
        if isinstance(error, Throttled):
            return True
        self._failures[message_id] += 1
        return not isinstance(error, Refused) and self._failures[message_id] < PATIENCE

    def _unreadable(self, folder: WatchedFolder, message: Message, error: GraphError, *, known: bool) -> NewMessage:
        """Make dead letters of it, for every handler that might have been asked: an operator shall see it."""
        routing = route(message, self._rules, self._clock.now())
        rules = (*routing.matched, *routing.undecided) if known else self._rules
        self._report.event(
            "unreadable", mailbox=folder.mailbox, folder=folder.name, graph_id=message.id, error=str(error)
        )
        wanted = tuple(MatchedRule(rule.name, rule.handle) for rule in rules)
        return NewMessage(message, wanted, failure=f"Its rules could not be evaluated: {error}")


def _stub(folder: WatchedFolder, message_id: str, now: datetime) -> Message:
    """Stand in for a message of which nothing but the id can be read."""
    return Message(id=message_id, mailbox=folder.mailbox, folder=folder.name, received_at=now)
