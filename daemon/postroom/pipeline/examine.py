"""From the entries of a page to what is stored of it: which are new, which rules apply, what has to be read first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from postroom.errors import GraphError, NotFound, PostroomError, Refused, RuleError, Throttled
from postroom.model import Message
from postroom.pipeline.limits import within
from postroom.pipeline.route import as_matched, route
from postroom.ports import UNROUTED, Clock, Entry, Journal, Mail, MatchedRule, NewMessage, Report, WatchedFolder
from postroom.rule import Rule

LOOK_LIMIT = 180.0
"""Seconds to read what one message's entry does not tell; each request in it has its own, shorter limit."""

LOOKS_AT_ONCE = 2
"""Messages of a page that are read at once: it leaves handlers some of the mailbox's requests in flight."""

GONE_WAIT = 2.0
"""Seconds after which a message that was not found is asked for again: fresh mail has been seen to answer 404."""

PATIENCE = 5
"""Rounds in a row that a page may fail for what cannot be read of it, before that is set aside and the rest goes on."""

NAMED = 20
"""Messages set aside that the log names."""

T = TypeVar("T")

_Look = tuple[Entry, asyncio.Task[NewMessage | None]]


class Examiner:
    """Examines one folder's pages. Remembers how many times in a row that failed for messages that could not be read.

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
        self._failures = 0
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
                if new.failure:
                    self._say_dead(folder, new)
        looked_at = await self._look(folder, unclear, now) if unclear else []
        self._failures = 0
        return [*found.values(), *looked_at]

    async def read(self, folder: WatchedFolder, message_id: str) -> NewMessage | None:
        """Read one message, old or new, and say which rules apply; None when it is gone.

        Raises GraphError and AuthError when it cannot be read now; when it never can be, `failure` says why.
        """
        folder, entry = replace(folder, walk="round"), Entry(message_id)
        try:
            return await self._one(folder, entry, self._clock.now())
        except Refused as error:
            return self._dead(_stub(folder, message_id, self._clock.now()), error)

    def _at_once(self, folder: WatchedFolder, message: Message, now: datetime) -> NewMessage | None:
        """Say what becomes of a message without reading more of it; None when that cannot be said."""
        if folder.walk == "full" and folder.floor is not None and message.received_at < folder.floor:
            return NewMessage(message, dispatch=False)
        try:
            routing = route(message, self._rules, now)
        except RuleError as error:
            return self._dead(message, error)
        return None if routing.missing else NewMessage(message, self._as_matched(routing.matched))

    def _dead(self, message: Message, error: PostroomError) -> NewMessage:
        """Make a dead letter of a mail whose rules can never be evaluated: an operator shall see it."""
        return NewMessage(message, (UNROUTED,), failure=f"Its rules could not be evaluated: {error}")

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
                found = await self._read(folder, entry, now)
            self.looked += 1
            return found

        new = {entry.id: entry for entry in entries if entry.id not in known}
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(look(entry)) for entry in new.values()]
        except BaseExceptionGroup as errors:
            self._bear(errors.exceptions)
        return self._looked_at(folder, list(zip(new.values(), tasks, strict=True)), now)

    def _bear(self, errors: Sequence[BaseException]) -> None:
        """Count a page that failed; raises the error unless that has lasted long enough and is a matter of the mail."""
        self._failures += 1
        if self._failures < PATIENCE or not all(_is_of_mail(each) for each in errors):
            raise errors[0] from None

    def _looked_at(self, folder: WatchedFolder, looks: Sequence[_Look], now: datetime) -> list[NewMessage]:
        """Return what was read, and in its place what is to be read again on its own; what is gone is left out."""
        found, aside, why = list[NewMessage | None](), list[str](), ""
        for entry, task in looks:
            error = None if task.cancelled() else task.exception()
            if error is None and not task.cancelled():
                found.append(task.result())
                continue
            found.append(NewMessage(entry.message or _stub(folder, entry.id, now), (UNROUTED,)))
            aside.append(entry.id)
            why = why or ("" if error is None else str(error))
        if aside:
            where = {"mailbox": folder.mailbox, "folder": folder.name}
            self._report.event("set_aside", **where, count=len(aside), messages=aside[:NAMED], error=why)
        return [each for each in found if each is not None]

    async def _read(self, folder: WatchedFolder, entry: Entry, now: datetime) -> NewMessage | None:
        """Read a message of a page; one that can never be read is a dead letter."""
        try:
            new = await self._one(folder, entry, now)
        except Refused as error:
            new = self._dead(entry.message or _stub(folder, entry.id, now), error)
        if new is not None and new.failure:
            self._say_dead(folder, new)
        return new

    def _say_dead(self, folder: WatchedFolder, new: NewMessage) -> None:
        where = {"mailbox": folder.mailbox, "folder": folder.name}
        self._report.event("unreadable", **where, graph_id=new.message.id, error=new.failure)

    async def _one(self, folder: WatchedFolder, entry: Entry, now: datetime) -> NewMessage | None:
        """Read one message as far as its rules need; None when it is gone."""
        message = entry.message
        async with within(LOOK_LIMIT, f"to read a message in {folder.name} of {folder.mailbox}", folder.mailbox):
            if message is None:
                message = await self._twice(lambda: self._mail.message(entry.id, folder.name))
            if message is None:
                return None
            try:
                return self._at_once(folder, message, now) or await self._with_details(message, now)
            except RuleError as error:
                return self._dead(message, error)

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


def _is_of_mail(error: BaseException) -> bool:
    """Say whether an error may be one mail's. A throttled or unusable mailbox says nothing of the mail."""
    return isinstance(error, GraphError) and not isinstance(error, Throttled) and not error.parks


def _stub(folder: WatchedFolder, message_id: str, now: datetime) -> Message:
    """Stand in for a message of which nothing but the id can be read."""
    return Message(id=message_id, mailbox=folder.mailbox, folder=folder.name, received_at=now)
