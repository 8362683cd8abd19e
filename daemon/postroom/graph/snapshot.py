"""From the wire to the nouns: messages, entries, attachments. Pure, and on the hot path."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from msgspec import UNSET, ValidationError, convert

from postroom.graph.wire import WireAttachment, WireMessage, WirePage, WireRecipient
from postroom.model import NOBODY, Address, Message
from postroom.ports import EARLIEST, LATEST, Entry, FileInfo


def entries(page: WirePage, mailbox: str, folder: str) -> tuple[Entry, ...]:
    """Return the entries of a page, in its order; those without an id mean nothing and are left out."""
    return tuple([_entry(wire, mailbox, folder) for wire in page.value if wire.id])


def placed(page: WirePage) -> tuple[tuple[str, datetime], ...]:
    """Return id and time of receipt of each entry that has both."""
    return tuple([(wire.id, _utc(wire.received_at)) for wire in page.value if wire.id and wire.received_at])


def message(wire: WireMessage, mailbox: str, folder: str) -> Message | None:
    """Return the snapshot, or None without id or time of receipt, the two that nothing works without."""
    if wire.received_at is None or not wire.id:
        return None
    wire.mailbox, wire.folder = mailbox, folder
    if wire.received_at.tzinfo is None or (wire.sent_at is not None and wire.sent_at.tzinfo is None):
        wire.received_at, wire.sent_at = _utc(wire.received_at), wire.sent_at and _utc(wire.sent_at)
    if wire.importance and not wire.categories:
        try:
            return convert(wire, Message, from_attributes=True)
        except ValidationError:
            pass  # something is missing or null: what follows is slower and fills it in
    return _with_gaps(wire, wire.id, wire.received_at)


def _with_gaps(wire: WireMessage, message_id: str, received_at: datetime) -> Message:
    return Message(
        id=message_id,
        mailbox=wire.mailbox,
        folder=wire.folder,
        received_at=received_at,
        sent_at=wire.sent_at,
        internet_message_id=wire.internet_message_id or "",
        conversation_id=wire.conversation_id or "",
        subject=wire.subject or "",
        sender=_address(wire.sender),
        sent_from=_address(wire.sent_from),
        to=_addresses(wire.to or None),
        cc=_addresses(wire.cc),
        reply_to=_addresses(wire.reply_to),
        importance=wire.importance or "normal",
        categories=tuple(name for name in wire.categories if name) if wire.categories else (),
        is_read=wire.is_read is True,
        has_attachments=wire.has_attachments is True,
        preview=wire.preview or "",
    )


def file_info(wire: WireAttachment) -> FileInfo:
    """Return what Graph lists of an attachment; a type nobody knows yet counts as a file."""
    return FileInfo(
        id=wire.id,
        name=wire.name or "",
        content_type=wire.content_type or "application/octet-stream",
        size=wire.size or 0,
        is_inline=wire.is_inline is True,
        kind=_kind(wire.kind or ""),
    )


def _entry(wire: WireMessage, mailbox: str, folder: str) -> Entry:
    identity = wire.id or ""
    if wire.removed is not None:
        return Entry(identity, removed=True)
    if _is_partial(wire):
        return Entry(identity, received_at=_utc(wire.received_at) if wire.received_at else None)
    return Entry(identity, False, message(wire, mailbox, folder))


def _is_partial(wire: WireMessage) -> bool:
    """An updated message may come with only what changed (delta-query-overview docs): rules must not judge that."""
    return wire.subject is UNSET or wire.to is UNSET or wire.has_attachments is UNSET


def _kind(odata_type: str) -> Literal["file", "item", "reference"]:
    lowered = odata_type.lower()
    if lowered.endswith("itemattachment"):
        return "item"
    return "reference" if lowered.endswith("referenceattachment") else "file"


def _utc(moment: datetime) -> datetime:
    """Graph's times are UTC even without saying so (message resource docs); imported mail may be of the year 1."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware if EARLIEST <= aware <= LATEST else min(max(aware, EARLIEST), LATEST)


def _address(recipient: WireRecipient | None) -> Address:
    if recipient is None or recipient.email_address is None:
        return NOBODY
    email = recipient.email_address
    return Address(email.name or "", email.address or "")


def _addresses(recipients: list[WireRecipient | None] | None) -> tuple[Address, ...]:
    return tuple([_address(each) for each in recipients if each is not None]) if recipients else ()
