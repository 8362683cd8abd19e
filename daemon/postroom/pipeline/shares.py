"""How many places of a handler one mailbox may hold, so that a slow one never holds all that others' mail needs.

A mailbox takes places as long as it leaves a third as many free as it then holds: three quarters of them when alone
there, fewer beside others. Who holds none may take the last one. A handler that one mailbox alone uses is all its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from postroom.pipeline.desk import Desk, share
from postroom.ports import MailboxLimit

PART = 3
"""A mailbox holds at most so many times as many places as it leaves free."""

SEVERAL = 2
"""Mailboxes: one alone delays no other."""

Held = Mapping[str, Counter[str]]
"""Handler -> mailbox -> how many places it holds."""


class Offer(NamedTuple):
    """What a claim may take.

    Attributes:
        room: Handler -> places.
        limits: Handler -> how many of them for one mailbox.
        squeezed: There are too few places in all, so that some handlers are offered less than they could take.
    """

    room: Mapping[str, int]
    limits: Mapping[str, MailboxLimit]
    squeezed: bool


def more(held: int, free: int) -> int:
    """Return how many of so many free places a mailbox may take that holds some already."""
    return max((PART * free - held) // (PART + 1), 0 if held else min(free, 1))


class Shares:
    """Splits free places among handlers, and limits mailboxes where several may want them.

    Args:
        held: Says who holds how many places; asked only where there is something to limit.
    """

    def __init__(self, held: Callable[[], Held]) -> None:
        self._held = held
        self._desk: Desk | None = None
        self._own: frozenset[str] = frozenset()

    def offer(self, desk: Desk, free: Mapping[str, int], left: int, turn: int) -> Offer:
        """Return what a claim may take of `free` places, `left` in all; see `desk.share` for `turn`."""
        room = share(free, left, turn)
        squeezed = room != free
        if len(desk.mails) < SEVERAL:
            return Offer(room, {}, squeezed)
        if squeezed:
            room = share(free, more(0, left), turn)
            free = {name: free[name] if room[name] == free[name] else min(free[name], left) for name in room}
        return Offer(room, self._limits(desk, free, squeezed=squeezed), squeezed)

    def of_mailbox(self, desk: Desk, mailbox: str, free: Mapping[str, int]) -> Mapping[str, int]:
        """Return how many of the `free` places of each handler this mailbox may take."""
        if len(desk.mails) < SEVERAL:
            return free
        limits = self._limits(desk, free)
        return {name: limits[name].of(mailbox) if name in limits else count for name, count in free.items()}

    def _limits(self, desk: Desk, free: Mapping[str, int], *, squeezed: bool = False) -> dict[str, MailboxLimit]:
        own = self._used_by_one(desk)
        names = [name for name in free if squeezed or name not in own]
        held = self._held() if names else {}
        return {name: _limit(free[name], held.get(name, {})) for name in names}

    def _used_by_one(self, desk: Desk) -> frozenset[str]:
        """Return the handlers that the rules of one mailbox alone name."""
        if desk is not self._desk:
            users = Counter(
                name
                for rules in desk.rules.values()
                for name in {name for rule in rules.values() for name in rule.handle}
            )
            self._desk, self._own = desk, frozenset(name for name, count in users.items() if count == 1)
        return self._own


def _limit(free: int, held: Mapping[str, int]) -> MailboxLimit:
    return MailboxLimit(more(0, free), {mailbox: more(count, free) for mailbox, count in held.items()})
