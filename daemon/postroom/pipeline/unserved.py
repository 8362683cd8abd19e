"""Says for which handlers and mailboxes work waits that the configuration has no more: nobody else would notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from postroom.errors import HandlerError, JournalError, PostroomError
from postroom.pipeline.desk import Desk
from postroom.ports import Clock, Journal, Report

EVERY = 30.0
"""Seconds between two looks."""

ABSENT_WAIT: Final = 300.0
"""Seconds until work for a mailbox that is not in the configuration is looked at again; it costs no attempt."""


class UnservedWatch:
    """Looks whether all deliveries that wait have a handler and a mailbox; `desk` returns the present one."""

    def __init__(self, *, journal: Journal, clock: Clock, report: Report, desk: Callable[[], Desk]) -> None:
        self._journal = journal
        self._clock = clock
        self._report = report
        self._desk = desk
        self._said: set[str] = set()

    async def look(self) -> None:
        """Report each handler and mailbox that is missing, and each that is missed no longer."""
        desk = self._desk()
        try:
            found = await self._journal.unserved(frozenset(desk.handlers))
        except JournalError as error:
            self._report.problem("journal", error)
            return
        lately = self._clock.monotonic() - 2 * ABSENT_WAIT
        absent = {mailbox for mailbox, tried in desk.absent.items() if tried >= lately}
        for name, count in found.items():
            self._report.problem(f"unserved {name}", _unserved(name, count), handler=name)
        for mailbox in absent:
            self._report.problem(f"unserved {mailbox}", _absent(mailbox), mailbox=mailbox)
        for name in self._said - found.keys() - absent:
            self._report.recovered(f"unserved {name}")
        self._said = {*found, *absent}


def _unserved(handler: str, count: int) -> HandlerError:
    waiting = "1 delivery waits" if count == 1 else f"{count} deliveries wait"
    return HandlerError(
        f"{waiting} for the handler {handler}, which the configuration does not have.",
        remedy="Put it back under `handlers`, and they are made; or give them up: `postroom deliveries discard "
        f"--all-waiting --handler {handler} --reason ...`.",
    )


def _absent(mailbox: str) -> PostroomError:
    return PostroomError(
        f"Work waits for the mailbox {mailbox}, which the configuration does not have.",
        remedy="Put it back under `mailboxes`, and it is done; or give deliveries up: `postroom deliveries discard "
        f"--all-waiting --handler NAME --mailbox {mailbox} --reason ...`.",
    )
