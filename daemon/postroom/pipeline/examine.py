"""From the entries of a page to what is stored of it: which are new, which rules apply, what has to be read first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from postroom.errors import GraphError, Refused, Throttled
from postroom.pipeline.reading import Reader, remembered, set_aside, unreadable
from postroom.ports import Clock, Entry, Journal, Mail, NewMessage, Report, WatchedFolder
from postroom.rule import Rule

LOOKS_AT_ONCE = 2
"""Messages of a page that are read at once: it leaves handlers some of the mailbox's requests in flight."""

PATIENCE = 5
"""Rounds in a row that a page may fail for what cannot be read of it, before that is set aside and the rest goes on."""

NAMED = 20
"""Messages set aside that the log names."""

_Look = tuple[Entry, asyncio.Task[NewMessage | None]]


class Examiner:
    """Examines one folder's pages. Remembers how many times in a row that failed for messages that could not be read.

    Attributes:
        looked: Messages that had to be read, so far.
    """

    def __init__(self, rules: Sequence[Rule], *, mail: Mail, journal: Journal, clock: Clock, report: Report) -> None:
        self._reader = Reader(rules, mail=mail, clock=clock)
        self._journal = journal
        self._clock = clock
        self._report = report
        self.looked = 0
        self._failures = 0

    async def examine(self, folder: WatchedFolder, entries: Sequence[Entry]) -> list[NewMessage]:
        """Return what is to be stored of a page; `@removed` is only a hint (message-delta docs).

        Raises GraphError and AuthError when a message cannot be read now but may be later.
        """
        now, at_once = self._clock.now(), self._reader.at_once
        found: dict[str, NewMessage] = {}
        unclear: list[Entry] = []
        for entry in entries:
            if entry.removed:
                continue
            message = entry.message
            new = remembered(folder, entry) if message is None else at_once(folder, message, now)
            if new is None:
                unclear.append(entry)
            else:
                found[entry.id] = new
                if new.failure:
                    self._say_dead(folder, new)
        looked_at = await self._look(folder, unclear, now) if unclear else []
        self._failures = 0
        return [*found.values(), *looked_at]

    async def read(self, folder: WatchedFolder, message_id: str, *, in_full: bool = False) -> NewMessage | None:
        """Read one message, old or new, and say which rules apply; None when it is gone.

        `in_full`: as in a full walk, in which the folder's floor counts. Raises GraphError and AuthError when it cannot
        be read now; when it never can be, `failure` says why.
        """
        folder = replace(folder, walk="full" if in_full else "round")
        entry, now = Entry(message_id), self._clock.now()
        try:
            return await self._reader.read(folder, entry, now)
        except Refused as error:
            return set_aside(folder, entry, now, unreadable(error))

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
        """Count a page that failed; raises the error unless it is a matter of its mail and has lasted long enough."""
        is_of_mail = all(_is_of_mail(each) for each in errors)
        self._failures += is_of_mail
        if not is_of_mail or self._failures < PATIENCE:
            raise errors[0] from None

    def _looked_at(self, folder: WatchedFolder, looks: Sequence[_Look], now: datetime) -> list[NewMessage]:
        """Return what was read, and in its place what is to be read again on its own; what is gone is left out."""
        found, aside, why = list[NewMessage | None](), list[str](), ""
        for entry, task in looks:
            error = None if task.cancelled() else task.exception()
            if error is None and not task.cancelled():
                found.append(task.result())
                continue
            found.append(set_aside(folder, entry, now))
            aside.append(entry.id)
            why = why or ("" if error is None else str(error))
        if aside:
            where = {"mailbox": folder.mailbox, "folder": folder.name}
            self._report.event("set_aside", **where, count=len(aside), messages=aside[:NAMED], error=why)
        return [each for each in found if each is not None]

    async def _read(self, folder: WatchedFolder, entry: Entry, now: datetime) -> NewMessage | None:
        """Read a message of a page; one that can never be read is a dead letter."""
        try:
            new = await self._reader.read(folder, entry, now)
        except Refused as error:
            new = set_aside(folder, entry, now, unreadable(error))
        if new is not None and new.failure:
            self._say_dead(folder, new)
        return new

    def _say_dead(self, folder: WatchedFolder, new: NewMessage) -> None:
        where = {"mailbox": folder.mailbox, "folder": folder.name}
        self._report.event("unreadable", **where, graph_id=new.message.id, error=new.failure)


def _is_of_mail(error: BaseException) -> bool:
    """Say whether an error may be one mail's. A throttled or unusable mailbox says nothing of the mail."""
    return isinstance(error, GraphError) and not isinstance(error, Throttled) and not error.parks
