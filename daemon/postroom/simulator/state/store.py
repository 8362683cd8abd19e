"""The messages of one mailbox, and every way they change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from postroom.simulator.state.content import Contents
from postroom.simulator.state.folder import RECOVERABLE, Folder
from postroom.simulator.state.lookup import Lookup
from postroom.simulator.state.message import Envelope, StoredMessage
from postroom.simulator.state.mime import parse
from postroom.simulator.state.tree import FolderTree


class MessageStore:
    """The messages of one mailbox; every change of one goes through here and takes the next number.

    Attributes:
        id: Object id of the mailbox's user.
        folders: The folders they lie in.
        contents: What they keep on disk.
        seq: Number of the last change; every change of anything in the mailbox takes the next.
        late: Mail delivered that nobody can see yet, with the time it appears.
        lookup: Finds messages by what lies on disk.

    Args:
        changed: Called after every change.
    """

    def __init__(
        self,
        mailbox_id: str,
        folders: FolderTree,
        contents: Contents,
        clock: Callable[[], datetime],
        changed: Callable[[], None],
    ) -> None:
        self.id = mailbox_id
        self.folders = folders
        self.contents = contents
        self.seq = 0
        self.late: list[tuple[float, StoredMessage]] = []
        self.lookup = Lookup(self)
        self.changed = changed
        self._clock = clock
        self._items = 0
        self._messages: dict[int, StoredMessage] = {}

    @property
    def messages(self) -> Mapping[int, StoredMessage]:
        """All messages by item number, deleted but recoverable ones included."""
        return MappingProxyType(self._messages)

    def newest_items(self) -> Iterator[int]:
        """Return the item numbers, which only ever grow, newest first."""
        return reversed(self._messages)

    def find(self, item: int) -> StoredMessage | None:
        """Return the message with this item number, wherever it is."""
        return self._messages.get(item)

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
            self.changed()
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
        self.changed()

    def _is_current(self, item: int, seq: int) -> bool:
        message = self._messages.get(item)
        return message is not None and message.seq == seq

    def _next_item(self) -> int:
        self._items += 1
        return self._items

    def _next_seq(self) -> int:
        self.seq += 1
        return self.seq
