"""What happened in one folder, in order: the log that delta rounds walk."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

_WORTH_COMPACTING = 128


class Change(NamedTuple):
    """One change: the message `item`, which entered the folder at `entered`, was touched at `seq` or `left` at it."""

    seq: int
    item: int
    entered: int
    left: bool


class ChangeLog:
    """Changes by ascending sequence number, in flat arrays: 24 bytes each.

    A change is superseded by a later one of the same stay of a message in the folder; superseded ones are dropped
    when they are half of the log. Sequence numbers never change, so links survive that.
    """

    __slots__ = ("_entered", "_items", "_seqs", "_superseded")

    def __init__(self) -> None:
        self._seqs = array("q")
        self._items = array("q")
        self._entered = array("q")
        self._superseded = 0

    @property
    def last(self) -> int:
        """The newest sequence number, 0 when nothing ever happened."""
        return self._seqs[-1] if self._seqs else 0

    def __len__(self) -> int:
        return len(self._seqs)

    def append(self, change: Change) -> None:
        """Add a change; its `seq` must be the highest so far."""
        self._seqs.append(change.seq)
        self._items.append(change.item)
        self._entered.append(-change.entered if change.left else change.entered)
        self._superseded += change.left or change.seq != change.entered

    def after(self, seq: int) -> Iterator[Change]:
        """Yield the changes with higher sequence numbers, oldest first."""
        for index in range(bisect_right(self._seqs, seq), len(self._seqs)):
            entered = self._entered[index]
            yield Change(self._seqs[index], self._items[index], abs(entered), entered < 0)

    def compact(self, is_current: Callable[[Change], bool]) -> None:
        """Drop superseded changes if they are many."""
        if self._superseded < _WORTH_COMPACTING or self._superseded * 2 < len(self._seqs):
            return
        kept = [change for change in self.after(0) if is_current(change)]
        self._seqs = array("q", (change.seq for change in kept))
        self._items = array("q", (change.item for change in kept))
        self._entered = array("q", (-change.entered if change.left else change.entered for change in kept))
        self._superseded = 0
