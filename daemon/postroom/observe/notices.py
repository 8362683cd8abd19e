"""What somebody should look at though all works; it leaves the status as it is."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any, Final

from postroom.ports import Clock

_WAITING: Final = {
    "deliveries.dead": ("dead letter", "dead letters", "`postroom deliveries list --dead` shows why."),
    "actions.dead": (
        "dead set of mail actions",
        "dead sets of mail actions",
        "`postroom messages list --dead` shows which; `postroom messages retry-actions` or `discard-actions` ends it.",
    ),
}
"""What waits for an operator: count -> its words for one and for many, and what to do."""

_WITHHELD: Final = (
    "`postroom messages list` marks them: answer by hand who waits. If so many are meant to be answered, raise that "
    "limit under `sending`; else look for who writes so often."
)

REMEMBERED: Final = 3600.0
"""Seconds for which answers that were withheld are told of."""

MOST: Final = 1000
"""Answers remembered for a mailbox; strangers decide how many there are."""


class Withheld:
    """The answers that limits of `sending` withheld lately. In memory alone; the journal knows of each for longer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._times: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=MOST))
        self._why: dict[str, str] = {}

    def note(self, mailbox: str, why: str) -> None:
        """Note that an answer of a mailbox was withheld, and why."""
        self._times[mailbox].append(self._clock.monotonic())
        self._why[mailbox] = why

    def notices(self) -> list[dict[str, Any]]:
        """Return a notice for each mailbox with such answers."""
        since = self._clock.monotonic() - REMEMBERED
        counts = {mailbox: sum(at > since for at in times) for mailbox, times in self._times.items()}
        for mailbox in [mailbox for mailbox, count in counts.items() if not count]:
            del self._times[mailbox], self._why[mailbox]
        return [
            _notice(_words(mailbox, count, self._why[mailbox]), _WITHHELD, count)
            for mailbox, count in counts.items()
            if count
        ]


def _words(mailbox: str, count: int, why: str) -> str:
    answers = f"{count} answers of {mailbox} were" if count > 1 else f"1 answer of {mailbox} was"
    return f"{answers} withheld in the last hour{', the last' if count > 1 else ''} because {why}"


def waiting(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return what the journal's counts say that waits for an operator."""
    found = [(counts.get(what, 0), *words) for what, words in _WAITING.items()]
    return [
        _notice(f"{count} {one if count == 1 else many}", what_to_do, count)
        for count, one, many, what_to_do in found
        if count
    ]


def _notice(what: str, what_to_do: str, count: int) -> dict[str, Any]:
    return {"what": what, "what_to_do": what_to_do, "count": count}
