"""One mailbox: who it is, the state it is in, and how folders and messages of it are found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from uuid import NAMESPACE_URL, uuid5

from postroom.simulator.state.content import Contents
from postroom.simulator.state.errors import CorruptMessage, UnknownMessage
from postroom.simulator.state.folder import RECOVERABLE, ROOT, Folder
from postroom.simulator.state.ids import Ids
from postroom.simulator.state.message import StoredMessage
from postroom.simulator.state.store import MessageStore
from postroom.simulator.state.tree import FolderTree


class Mailbox(MessageStore):
    """One mailbox of the tenant; its id is the same for the same address in every run.

    Attributes, besides those of `MessageStore`:
        address: SMTP address in lower case.
        full: Change tracking is refused, because it would have to write; the rest goes on
            (microsoft-graph-docs-contrib#6596).
        licensed: Without a licence there is no mailbox for Graph (microsoft-graph-docs-contrib#6519).
        moving: It is being moved to another database: nothing works for now.
        corrupt: Item numbers of messages that cannot be read, for good: add to it, and Graph answers 500 for them.
        writing: Item numbers of messages a write to which is under way; each takes `write_time` seconds at least.
        largest_message: Bytes a mail may have to be sent or to take another attachment (EXOPS Set-Mailbox).
    """

    def __init__(
        self,
        address: str,
        display_name: str,
        contents: Contents,
        clock: Callable[[], datetime],
        changed: Callable[[Mailbox], None],
        *,
        language: str = "en",
    ) -> None:
        self.address = address.lower()
        self.display_name = display_name or address.partition("@")[0]
        mailbox_id = str(uuid5(NAMESPACE_URL, f"mailto:{self.address}"))
        self.ids = Ids(mailbox_id)
        super().__init__(mailbox_id, FolderTree(self.ids, language), contents, clock, partial(changed, self))
        self.full = False
        self.licensed = True
        self.moving = False
        self.corrupt: set[int] = set()
        self.largest_message = 35 * 1024 * 1024
        self.writing: set[int] = set()
        self.write_time = 0.01
        self._chains = 0

    @property
    def provisioned(self) -> bool:
        """Whether anybody has opened it; before that only well-known folders are found."""
        return self.folders.provisioned

    @provisioned.setter
    def provisioned(self, opened: bool) -> None:
        self.folders.provisioned = opened

    @property
    def root(self) -> Folder:
        """The folder that holds all visible ones."""
        return self.folders.well_known[ROOT]

    def folder(self, name_or_id: str) -> Folder:
        """Find a folder by well-known name or id; raises UnknownFolder, MalformedId or ForeignId."""
        return self.folders.find(name_or_id)

    def create_folder(self, display_name: str, parent: Folder | None = None, *, hidden: bool = False) -> Folder:
        """Create a folder, under the root where no parent is named; raises FolderExists."""
        folder = self.folders.create(display_name, parent, hidden=hidden)
        self.changed()
        return folder

    def message(self, message_id: str, folder: Folder | None = None) -> StoredMessage:
        """Find a message by either id; raises UnknownMessage, CorruptMessage, MalformedId or ForeignId.

        A deleted message is found only through its own folder, the recoverable items.
        """
        reference = self.ids.read_message(message_id)
        found = self.find(reference.item)
        if found is None or (reference.entered is not None and reference.entered != found.entered):
            raise _no_message()
        if not self._is_seen(found, folder):
            raise _no_message()
        if found.item in self.corrupt:
            raise CorruptMessage("The item is corrupt: its data cannot be read.")
        return found

    def _is_seen(self, message: StoredMessage, folder: Folder | None) -> bool:
        """Tell whether a message is found through a folder, or through none."""
        if folder is None:
            return message.folder is not self.folders.well_known[RECOVERABLE]
        return message.folder is folder or (folder.search is not None and folder.search.passes(message))

    def immutable_id(self, message: StoredMessage) -> str:
        """Return the id that stays with the message."""
        return self.ids.immutable(message.item)

    def default_id(self, message: StoredMessage) -> str:
        """Return the id that changes with every move."""
        return self.ids.message(message.folder.number, message.item, message.entered)

    def by_time(self, folder: Folder | None = None) -> list[StoredMessage]:
        """Return the messages of a folder, or of all but the recoverable items, sorted by time received."""
        if folder is not None:
            return folder.search.messages() if folder.search else folder.messages
        gone = self.folders.well_known[RECOVERABLE]
        return sorted((one for one in self.messages.values() if one.folder is not gone), key=lambda one: one.order)

    def reset_delta(self, folder: Folder | str) -> None:
        """Make every link of the folder void, as a migration of the mailbox does."""
        found = self.folder(folder) if isinstance(folder, str) else folder
        found.reset()

    def next_chain(self) -> int:
        """Return a fresh chain number."""
        self._chains += 1
        return self._chains


def _no_message() -> UnknownMessage:
    return UnknownMessage(
        "The specified object was not found in the store., The process failed to get the correct properties."
    )
