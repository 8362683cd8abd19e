"""What change tracking keeps of one thing that can be tracked: a folder's messages, or a mailbox's folders."""

from __future__ import annotations

from postroom.simulator.state.changes import ChangeLog


class Tracked:
    """A change log and the delta chains over it.

    Attributes:
        number: Constant within the mailbox; a folder's, or 0 for the tree of folders.
        epoch: Counts resets: links of an earlier epoch are void.
        chains: Delta chain number -> its newest generation; oldest use first.
    """

    __slots__ = ("chains", "epoch", "log", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.log = ChangeLog()
        self.epoch = 0
        self.chains: dict[int, int] = {}

    def reset(self) -> None:
        """Make every link void, as a migration of the mailbox does."""
        self.epoch += 1
        self.chains.clear()
