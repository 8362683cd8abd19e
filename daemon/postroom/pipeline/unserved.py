"""Says of which handlers deliveries wait that are in the configuration no more: nobody else would notice."""

from __future__ import annotations

from collections.abc import Callable, Collection

from postroom.errors import HandlerError, JournalError
from postroom.ports import Journal, Report

EVERY = 30.0
"""Seconds between two looks."""


class UnservedWatch:
    """Looks whether all deliveries that wait have a handler; `handlers` names those there are at present."""

    def __init__(self, *, journal: Journal, report: Report, handlers: Callable[[], Collection[str]]) -> None:
        self._journal = journal
        self._report = report
        self._handlers = handlers
        self._said: set[str] = set()

    async def look(self) -> None:
        """Report each handler that is missing, and each that is missed no longer."""
        try:
            found = await self._journal.unserved(self._handlers())
        except JournalError as error:
            self._report.problem("journal", error)
            return
        for name, count in found.items():
            self._report.problem(f"unserved {name}", _unserved(name, count), handler=name)
        for name in self._said - found.keys():
            self._report.recovered(f"unserved {name}")
        self._said = set(found)


def _unserved(handler: str, count: int) -> HandlerError:
    waiting = "1 delivery waits" if count == 1 else f"{count} deliveries wait"
    return HandlerError(
        f"{waiting} for the handler {handler}, which the configuration does not have.",
        remedy="Put it back under `handlers`, and they are made; or give them up: `postroom deliveries discard "
        f"--all-waiting --handler {handler} --reason ...`.",
    )
