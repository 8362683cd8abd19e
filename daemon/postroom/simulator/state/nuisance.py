"""The small print of change tracking: what Graph may do within its contract, and does on some days.

All of it is off to begin with; a `Nuisance` put in place of `TenantState.nuisance` turns it on while the tenant runs.
What is always so (generations, the caps of ``$top`` and ``$filter``, leaks of removals) needs no switch.

Sources: LEARN delta-query-overview for replays, duplicates, partial entries, processing delays, evicted tokens and
resets; microsoft-graph-docs-contrib#1316 for empty pages, #72 for the hole, #9008 for the race of a move.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple

_REMEMBERED = 10_000


class Strike(NamedTuple):
    """A nuisance that struck: which one, and in whose mailbox."""

    kind: str
    mailbox: str


@dataclass(slots=True)
class Nuisance:
    """How often each nuisance strikes: a chance from 0 to 1 at every opportunity.

    Attributes:
        seed: Makes a run repeatable.
        replay: A round begins with changes that were told before.
        duplicate: An entry comes twice in a round.
        empty_page: A page is empty and has a next link; at most `empty_in_a_row` times running.
        partial: An update is told without most of what did not change.
        noise: A round tells a message that nobody touched.
        leak: A chain that wants one kind of change is told another kind too.
        late: Delivered mail shows only after a delay of `late_seconds`, from and to.
        unfound: A message delivered moments ago is not found by its id (microsoft-graph-docs#11068).
        move_race: The default id that a move answered is not the one that is listed later.
        forget: The chain of a link is evicted: 410 ``SyncStateNotFound``.
        reset: All chains of the folder are reset: 410 ``ResyncRequired`` with a Location.
        move_hole: What left a folder and came back between two polls is told only as removed, by immutable id.
        filter_refused: Even the documented ``$filter`` is answered with 400 (microsoft-graph-docs#18636).
        struck: How often each struck, by its name; `strikes` are the last of them, oldest first.
    """

    seed: int = 0
    replay: float = 0.0
    duplicate: float = 0.0
    empty_page: float = 0.0
    empty_in_a_row: int = 5
    partial: float = 0.0
    noise: float = 0.0
    leak: float = 0.0
    late: float = 0.0
    late_seconds: tuple[float, float] = (1.0, 5.0)
    unfound: float = 0.0
    move_race: float = 0.0
    forget: float = 0.0
    reset: float = 0.0
    move_hole: bool = False
    filter_refused: bool = False
    struck: Counter[str] = field(default_factory=Counter)
    strikes: deque[Strike] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    chance: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - repeatable on purpose

    def draw(self, kind: str) -> bool:
        """Decide by chance whether a nuisance strikes; whoever carries it out records it."""
        probability: float = getattr(self, kind)
        return probability > 0 and (probability >= 1 or self.chance.random() < probability)

    def record(self, kind: str, mailbox: str) -> None:
        """Take down that one struck."""
        self.struck[kind] += 1
        self.strikes.append(Strike(kind, mailbox))

    def strike(self, kind: str, mailbox: str) -> bool:
        """Decide, and record it when it strikes."""
        struck = self.draw(kind)
        if struck:
            self.record(kind, mailbox)
        return struck

    def delay(self, mailbox: str) -> float:
        """Return how many seconds a mail just delivered stays unseen."""
        return self.chance.uniform(*self.late_seconds) if self.strike("late", mailbox) else 0.0
