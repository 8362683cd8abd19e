"""A mail as the state holds it: what may change in memory, what the MIME says on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from postroom.simulator.state.folder import Folder

NOT_FLAGGED: Mapping[str, Any] = MappingProxyType({"flagStatus": "notFlagged"})
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Address(NamedTuple):
    """A display name, empty where there is none, and a mail address."""

    name: str
    address: str


class Part(msgspec.Struct, frozen=True, array_like=True):
    """Where a body or an attachment lies in the MIME.

    Attributes:
        start: First byte of the encoded content; `end` is behind the last.
        encoding: Content-Transfer-Encoding, in lower case.
        size: Bytes after decoding; 0 for bodies.
        url: Where a reference attachment points to.
        number: Of an attachment, constant while others of the same message come and go; its id is made of it.
    """

    start: int
    end: int
    content_type: str
    encoding: str = ""
    charset: str = ""
    name: str = ""
    content_id: str = ""
    location: str = ""
    inline: bool = False
    kind: Literal["file", "item", "reference"] = "file"
    size: int = 0
    url: str = ""
    number: int = 0


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """What was read from a mail's MIME once, when it arrived; kept on disk. Times are seconds since 1970, UTC.

    Attributes:
        thread: What the mails of one conversation have in common.
        headers_end: Length of the header block in bytes.
        preview: First 255 characters of the text.
        calendar: The iCalendar part of a meeting message, which is no attachment; `meeting` is its method.
    """

    subject: str = ""
    sent_from: Address | None = None
    sender: Address | None = None
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    message_id: str = ""
    sent: int | None = None
    importance: Literal["low", "normal", "high"] = "normal"
    read_receipt: bool = False
    thread: str = ""
    headers_end: int = 0
    preview: str = ""
    text: Part | None = None
    html: Part | None = None
    attachments: tuple[Part, ...] = ()
    calendar: Part | None = None
    meeting: str = ""

    @property
    def has_attachments(self) -> bool:
        """Whether there is an attachment that is not inline (LEARN api/resources/message)."""
        return any(not part.inline for part in self.attachments)

    @property
    def recipients(self) -> tuple[Address, ...]:
        """Everybody the mail goes to."""
        return self.to + self.cc + self.bcc


@dataclass(slots=True, eq=False)
class StoredMessage:
    """One message of a mailbox. Only the mailbox changes it. Times are seconds since 1970, UTC.

    Attributes:
        item: Constant number; the immutable id is made of it.
        entered: Sequence number of the moment it came into its folder; with `item` it makes the default id.
        seq: Sequence number of its last change.
        mime_at: Where its MIME is in the spool; `envelope_at` its envelope.
        overrides: Graph properties set by PATCH that the MIME does not know, by their Graph names.
        meeting: Method of the invitation it carries, in upper case, or empty.
        extended: Extended (MAPI) properties a client has set, by id.
        message_id_hash: Hash of the Internet message id, to search for one without reading envelopes.
    """

    item: int
    folder: Folder
    received: int
    created: int
    modified: int
    size: int
    mime_at: int
    envelope_at: int
    message_id_hash: int
    has_attachments: bool
    importance: Literal["low", "normal", "high"] = "normal"
    is_read: bool = False
    is_draft: bool = False
    categories: tuple[str, ...] = ()
    flag: Mapping[str, Any] = field(default_factory=lambda: NOT_FLAGGED)
    overrides: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    extended: Mapping[str, str | tuple[str, ...]] = field(default_factory=lambda: NOTHING)
    meeting: str = ""
    entered: int = 0
    seq: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """Sort key: by time received."""
        return self.received, self.item
