"""A mail folder: its place in the tree, its messages by time received, its change log and delta chains."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from postroom.simulator.state.changes import Change
from postroom.simulator.state.message import StoredMessage
from postroom.simulator.state.tracked import Tracked

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


@dataclass(frozen=True, slots=True)
class Search:
    """What a search folder shows: messages of other folders (CSDL mailSearchFolder).

    Attributes:
        sources: Folders that are searched.
        nested: Whether the folders in them are searched too.
        query: The filter as it was written.
        passes: Tells whether a message passes it.
    """

    sources: tuple[Folder, ...]
    nested: bool
    query: str
    passes: Callable[[StoredMessage], bool]

    def messages(self) -> list[StoredMessage]:
        """Return what is found, oldest first."""
        return sorted((one for folder in self._searched() for one in folder.messages if self.passes(one)), key=_order)

    def _searched(self) -> dict[Folder, None]:
        if not self.nested:
            return dict.fromkeys(self.sources)
        return dict.fromkeys(below for source in self.sources for below in source.walk())


class Folder(Tracked):
    """One folder of a mailbox.

    Attributes:
        number: Constant number; the id is made of it.
        parent: None for the roots.
        messages: Sorted by time received, oldest first.
        unread: How many of them are unread.
        size: Bytes of all of them.
        seq: Sequence number of the last change of the folder itself; `entered` that of its creation.
        search: What it shows when it is a search folder.
    """

    __slots__ = (
        "children", "display_name", "entered", "hidden", "id", "messages", "parent", "search", "seq", "size", "unread",
    )  # fmt: skip

    def __init__(self, number: int, folder_id: str, display_name: str, parent: Folder | None, *, hidden: bool) -> None:
        super().__init__(number)
        self.id = folder_id
        self.display_name = display_name
        self.parent = parent
        self.hidden = hidden
        self.children: list[Folder] = []
        self.messages: list[StoredMessage] = []
        self.unread = self.size = self.seq = self.entered = 0
        self.search: Search | None = None
        if parent is not None:
            parent.children.append(self)

    def walk(self) -> Iterator[Folder]:
        """Yield this folder and all below it, parents first."""
        pending = [self]
        while pending:
            folder = pending.pop()
            yield folder
            pending.extend(reversed(folder.children))

    def lies_in(self) -> list[Folder]:
        """Return this folder and what it lies in, innermost first."""
        found = [self]
        while found[-1].parent is not None:
            found.append(found[-1].parent)
        return found

    def enter(self, message: StoredMessage, seq: int) -> None:
        """Take a message in."""
        message.folder, message.entered = self, seq
        insort(self.messages, message, key=_order)
        self.unread += not message.is_read
        self.size += message.size
        self.touch(message, seq)

    def touch(self, message: StoredMessage, seq: int) -> None:
        """Record that a message in here changed."""
        message.seq = seq
        self.log.append(Change(seq, message.item, message.entered, left=False))

    def leave(self, message: StoredMessage, seq: int) -> None:
        """Let a message go; the log remembers that it was here."""
        del self.messages[bisect_left(self.messages, message.order, key=_order)]
        self.unread -= not message.is_read
        self.size -= message.size
        self.log.append(Change(seq, message.item, message.entered, left=True))
