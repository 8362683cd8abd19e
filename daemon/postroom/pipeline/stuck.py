"""Says of which handlers nothing can run any more, and what of them still hangs after a reload."""

from __future__ import annotations

from postroom.errors import HandlerError
from postroom.pipeline.desk import Desk, OpenHandler
from postroom.ports import Report


class StuckWatch:
    """Looks whether handlers have places left. A reload brings new ones, and does not end what hangs in the old."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._full: list[OpenHandler] = []
        self._told: dict[str, str] = {}

    def look(self, desk: Desk) -> None:
        """Report each handler that stands still or left attempts hanging at a reload, and each that does no longer."""
        choked = desk.choked()
        if not choked and not self._full:
            return
        present = [desk.handlers[name] for name in choked]
        before = [each for each in self._full if each.stranded and desk.handlers.get(each.name) is not each]
        self._full = [*before, *present]
        troubles = {each.name: _left_hanging(each.name) for each in before}
        troubles |= {each.name: _no_place(each.name) for each in present}
        for name, trouble in troubles.items():
            if self._told.get(name) != str(trouble):
                self._report.problem(f"places {name}", trouble)
        for name in self._told.keys() - troubles.keys():
            self._report.recovered(f"places {name}")
        self._told = {name: str(trouble) for name, trouble in troubles.items()}


def _no_place(handler: str) -> HandlerError:
    return HandlerError(
        f"All places of the handler {handler} are taken by attempts that cannot be stopped, so it handles nothing.",
        remedy="Restart the daemon to free them, and give a time limit of its own to what the handler waits for.",
        handler=handler,
    )


def _left_hanging(handler: str) -> HandlerError:
    return HandlerError(
        f"Attempts of the handler {handler} from before a reload still hang and cannot be stopped. Since the reload it "
        "works in new places.",
        remedy="Restart the daemon to end them, and give a time limit of its own to what the handler waits for.",
        handler=handler,
    )
