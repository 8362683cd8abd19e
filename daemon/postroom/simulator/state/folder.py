"""A mail folder: its place in the tree, its messages by time received, its change log and delta chains."""

from __future__ import annotations

from bisect import bisect_left, insort
from operator import attrgetter
from typing import NamedTuple

from postroom.simulator.state.changes import Change, ChangeLog
from postroom.simulator.state.message import StoredMessage

_order = attrgetter("order")


class WellKnown(NamedTuple):
    """A folder every mailbox has: display name, parent's well-known name, whether listings leave it out."""

    display_name: str
    parent: str
    hidden: bool = False


ROOT = "msgfolderroot"
RECOVERABLE = "recoverableitemsdeletions"

WELL_KNOWN: dict[str, WellKnown] = {
    ROOT: WellKnown("Top of Information Store", ""),
    "archive": WellKnown("Archive", ROOT),
    "conversationhistory": WellKnown("Conversation History", ROOT),
    "deleteditems": WellKnown("Deleted Items", ROOT),
    "drafts": WellKnown("Drafts", ROOT),
    "inbox": WellKnown("Inbox", ROOT),
    "junkemail": WellKnown("Junk Email", ROOT),
    "outbox": WellKnown("Outbox", ROOT),
    "sentitems": WellKnown("Sent Items", ROOT),
    "clutter": WellKnown("Clutter", ROOT, hidden=True),
    "syncissues": WellKnown("Sync Issues", ROOT, hidden=True),
    "conflicts": WellKnown("Conflicts", "syncissues", hidden=True),
    "localfailures": WellKnown("Local Failures", "syncissues", hidden=True),
    "serverfailures": WellKnown("Server Failures", "syncissues", hidden=True),
    RECOVERABLE: WellKnown("Deletions", "", hidden=True),
    "scheduled": WellKnown("Scheduled", "", hidden=True),
    "searchfolders": WellKnown("Finder", "", hidden=True),
}
"""The locale-independent names of Graph, in the order folders are listed (GD21 resources/mailfolder.md)."""


class Folder:
    """One folder of a mailbox.

    Attributes:
        number: Constant number; the id is made of it.
        parent: None for the roots.
        messages: Sorted by time received, oldest first.
        unread: How many of them are unread.
        epoch: Counts resets: links of an earlier epoch are void.
        chains: Delta chain number -> its newest generation; oldest use first.
    """

    __slots__ = (
        "chains", "children", "display_name", "epoch", "hidden", "id", "log", "messages", "number", "parent", "unread",
    )  # fmt: skip

    def __init__(self, number: int, folder_id: str, display_name: str, parent: Folder | None, *, hidden: bool) -> None:
        self.number = number
        self.id = folder_id
        self.display_name = display_name
        self.parent = parent
        self.hidden = hidden
        self.children: list[Folder] = []
        self.messages: list[StoredMessage] = []
        self.unread = 0
        self.log = ChangeLog()
        self.epoch = 0
        self.chains: dict[int, int] = {}
        if parent is not None:
            parent.children.append(self)

    def enter(self, message: StoredMessage, seq: int) -> None:
        """Take a message in."""
        message.folder, message.entered = self, seq
        insort(self.messages, message, key=_order)
        self.unread += not message.is_read
        self.touch(message, seq)

    def touch(self, message: StoredMessage, seq: int) -> None:
        """Record that a message in here changed."""
        message.seq = seq
        self.log.append(Change(seq, message.item, message.entered, left=False))

    def leave(self, message: StoredMessage, seq: int) -> None:
        """Let a message go; the log remembers that it was here."""
        del self.messages[bisect_left(self.messages, message.order, key=_order)]
        self.unread -= not message.is_read
        self.log.append(Change(seq, message.item, message.entered, left=True))
