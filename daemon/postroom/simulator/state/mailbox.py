"""One mailbox: its folder tree, its messages, and every way they change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from postroom.simulator.state.content import Contents
from postroom.simulator.state.errors import CorruptMessage, UnknownMessage
from postroom.simulator.state.folder import RECOVERABLE, ROOT, Folder
from postroom.simulator.state.ids import Ids
from postroom.simulator.state.lookup import Lookup
from postroom.simulator.state.message import Envelope, StoredMessage
from postroom.simulator.state.mime import parse
from postroom.simulator.state.tree import FolderTree


class Mailbox:
    """One mailbox of the tenant.

    Attributes:
        id: Object id of its user; the same for the same address in every run.
        address: SMTP address in lower case.
        folders: The folder tree.
        contents: What its messages keep on disk.
        seq: Number of the last change; every change of anything in the mailbox takes the next.
        messages: By item number, deleted but recoverable ones included.
        full: Change tracking is refused, because it would have to write; the rest goes on
            (microsoft-graph-docs-contrib#6596).
        licensed: Without a licence there is no mailbox for Graph (microsoft-graph-docs-contrib#6519).
        moving: It is being moved to another database: nothing works for now.
        late: Mail delivered that nobody can see yet, with the time it appears.
        corrupt: Item numbers of messages that cannot be read, for good: add to it, and Graph answers 500 for them.
        writing: Item numbers of messages a write to which is under way; each takes `write_time` seconds at least.
        lookup: Finds messages by what lies on disk.
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
        self.id = str(uuid5(NAMESPACE_URL, f"mailto:{self.address}"))
        self.ids = Ids(self.id)
        self.folders = FolderTree(self.ids, language)
        self.contents = contents
        self.seq = 0
        self.full = False
        self.licensed = True
        self.moving = False
        self.late: list[tuple[float, StoredMessage]] = []
        self.corrupt: set[int] = set()
        self.largest_message = 35 * 1024 * 1024
        self.writing: set[int] = set()
        self.write_time = 0.01
        self.lookup = Lookup(self)
        self._clock = clock
        self._changed = changed
        self._items = 0
        self._chains = 0
        self._messages: dict[int, StoredMessage] = {}

    @property
    def messages(self) -> Mapping[int, StoredMessage]:
        """All messages by item number."""
        return MappingProxyType(self._messages)

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
        self._changed(self)
        return folder

    def rename_folder(self, folder: Folder, display_name: str) -> None:
        """Give a folder another name; raises FolderExists or FixedFolder."""
        self.folders.rename(folder, display_name)
        self._changed(self)

    def move_folder(self, folder: Folder, parent: Folder) -> None:
        """Put a folder under another; its id stays. Raises FolderExists, FixedFolder or WrongPlace."""
        self.folders.move(folder, parent)
        self._changed(self)

    def copy_folder(self, folder: Folder, parent: Folder) -> Folder:
        """Copy a folder with everything in it, under another name where its own is taken; raises WrongPlace."""
        below = list(folder.walk())
        twin = self.folders.create(self.folders.free_name(parent, folder.display_name), parent, hidden=folder.hidden)
        twins = {folder: twin}
        for one in below[1:]:
            assert one.parent is not None
            twins[one] = self.folders.create(one.display_name, twins[one.parent], hidden=one.hidden)
        for original, copied in twins.items():
            copied.search = original.search
            for message in list(original.messages):
                self.copy(message, copied)
        self._changed(self)
        return twin

    def delete_folder(self, folder: Folder) -> None:
        """Delete a folder: it lies in Deleted Items then, and when it already did, it is gone; raises FixedFolder."""
        bin_ = self.folders.well_known["deleteditems"]
        if folder.search is not None or bin_ in folder.lies_in():
            self.purge_folder(folder)
        else:
            self.folders.move(folder, bin_, any_name=True)
            self._changed(self)

    def purge_folder(self, folder: Folder) -> None:
        """Delete a folder for good, its messages and the folders in it too; raises FixedFolder."""
        self.folders.check_free(folder)
        for one in reversed(list(folder.walk())):
            for message in list(one.messages):
                self.purge(message)
            self.folders.remove(one)
        self._changed(self)

    def newest_items(self) -> Iterator[int]:
        """Return the item numbers, which only ever grow, newest first."""
        return reversed(self._messages)

    def find(self, item: int) -> StoredMessage | None:
        """Return the message with this item number, wherever it is."""
        return self._messages.get(item)

    def message(self, message_id: str, folder: Folder | None = None) -> StoredMessage:
        """Find a message by either id; raises UnknownMessage, CorruptMessage, MalformedId or ForeignId.

        A deleted message is found only through its own folder, the recoverable items.
        """
        reference = self.ids.read_message(message_id)
        found = self._messages.get(reference.item)
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
        return sorted((one for one in self._messages.values() if one.folder is not gone), key=lambda one: one.order)

    def add(
        self,
        raw: bytes,
        folder: Folder,
        *,
        received: int | None = None,
        is_read: bool = False,
        is_draft: bool = False,
        envelope: Envelope | None = None,
        delay: float = 0.0,
    ) -> StoredMessage:
        """Take in a new message; with a `delay` nobody sees it before so many seconds have passed."""
        known = envelope or parse(raw)
        now = self.now()
        message = StoredMessage(
            item=self._next_item(),
            folder=folder,
            received=now if received is None else received,
            created=now,
            modified=now,
            size=len(raw),
            mime_at=self.contents.put_mime(raw),
            envelope_at=self.contents.put_envelope(known),
            message_id_hash=hash(known.message_id),
            has_attachments=known.has_attachments,
            importance=known.importance,
            meeting=known.meeting,
            is_read=is_read,
            is_draft=is_draft,
        )
        if delay > 0:
            self.late.append((self._clock().timestamp() + delay, message))
            self._changed(self)
            return message
        return self._admit(message, folder)

    def arrive(self) -> None:
        """Show the late mail that is due."""
        now = self._clock().timestamp()
        due = [message for time, message in self.late if time <= now]
        self.late = [(time, message) for time, message in self.late if time > now]
        for message in due:
            message.item = self._next_item()
            self._admit(message, message.folder)

    def copy(self, message: StoredMessage, folder: Folder) -> StoredMessage:
        """Copy a message; both share what is on disk."""
        twin = StoredMessage(
            **{name: getattr(message, name) for name in message.__slots__} | {"item": self._next_item()}
        )
        return self._admit(twin, folder)

    def move(self, message: StoredMessage, folder: Folder) -> None:
        """Move a message, even into the folder it is in: either way it leaves and enters."""
        message.folder.leave(message, self._next_seq())
        message.modified = self.now()
        folder.enter(message, self._next_seq())
        self._settle(message.folder)

    def update(self, message: StoredMessage, **changes: Any) -> None:
        """Set attributes of a message; even values it already has count as a change."""
        if "is_read" in changes:
            message.folder.unread += message.is_read - changes["is_read"]
        message.folder.size += changes.get("size", message.size) - message.size
        for name, value in changes.items():
            setattr(message, name, value)
        message.modified = self.now()
        message.folder.touch(message, self._next_seq())
        self._settle(message.folder)

    def rewrite(self, message: StoredMessage, raw: bytes, envelope: Envelope, **changes: Any) -> None:
        """Give a message other MIME, and other attributes with it, in one change."""
        self.lookup.forget(message)
        self.update(
            message,
            size=len(raw),
            mime_at=self.contents.put_mime(raw),
            envelope_at=self.contents.put_envelope(envelope),
            message_id_hash=hash(envelope.message_id),
            has_attachments=envelope.has_attachments,
            **{"importance": envelope.importance, **changes},
        )

    def mark_sent(self, message: StoredMessage) -> None:
        """Turn a draft into sent mail, in Sent Items."""
        message.folder.leave(message, self._next_seq())
        message.is_draft, message.is_read = False, True
        message.received = message.modified = self.now()
        self.folders.well_known["sentitems"].enter(message, self._next_seq())
        self._settle(message.folder)

    def delete(self, message: StoredMessage) -> None:
        """Delete a message: it becomes recoverable, and when it already was, it is gone."""
        recoverable = self.folders.well_known[RECOVERABLE]
        if message.folder is not recoverable:
            self.move(message, recoverable)
        else:
            self.purge(message)

    def purge(self, message: StoredMessage) -> None:
        """Delete a message for good: Purges, where the real one goes, is out of Graph's reach."""
        message.folder.leave(message, self._next_seq())
        del self._messages[message.item]
        self._settle(message.folder)

    def reset_delta(self, folder: Folder | str) -> None:
        """Make every link of the folder void, as a migration of the mailbox does."""
        found = self.folder(folder) if isinstance(folder, str) else folder
        found.reset()

    def next_chain(self) -> int:
        """Return a fresh chain number."""
        self._chains += 1
        return self._chains

    def now(self) -> int:
        """Return the time in seconds since 1970."""
        return int(self._clock().timestamp())

    def _admit(self, message: StoredMessage, folder: Folder) -> StoredMessage:
        self._messages[message.item] = message
        folder.enter(message, self._next_seq())
        self._settle(folder)
        return message

    def _settle(self, folder: Folder) -> None:
        folder.log.compact(lambda change: change.left or self._is_current(change.item, change.seq))
        self._changed(self)

    def _is_current(self, item: int, seq: int) -> bool:
        message = self._messages.get(item)
        return message is not None and message.seq == seq

    def _next_item(self) -> int:
        self._items += 1
        return self._items

    def _next_seq(self) -> int:
        self.seq += 1
        return self.seq


def _no_message() -> UnknownMessage:
    return UnknownMessage(
        "The specified object was not found in the store., The process failed to get the correct properties."
    )
