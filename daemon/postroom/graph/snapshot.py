"""From the wire to the nouns: messages, entries, attachments. Pure, and on the hot path."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from msgspec import UNSET

from postroom.graph.wire import WireAttachment, WireMessage, WirePage, WireRecipient
from postroom.model import NOBODY, Address, Message
from postroom.ports import Entry, FileInfo


def entries(page: WirePage, mailbox: str, folder: str) -> tuple[Entry, ...]:
    """Return the entries of a page, in its order; those without an id mean nothing and are left out."""
    return tuple([_entry(wire, mailbox, folder) for wire in page.value if wire.id])


def message(wire: WireMessage, mailbox: str, folder: str) -> Message | None:
    """Return the snapshot, or None without id or time of receipt, the two that nothing works without."""
    received = wire.received_date_time
    if received is None or not wire.id:
        return None
    sender = _address(wire.from_)
    return Message(
        id=wire.id,
        mailbox=mailbox,
        folder=folder,
        received_at=received if received.tzinfo is not None else received.replace(tzinfo=UTC),
        sent_at=_aware(wire.sent_date_time),
        internet_message_id=wire.internet_message_id or "",
        conversation_id=wire.conversation_id or "",
        subject=wire.subject or "",
        sender=sender,
        sent_from=sender if wire.sender == wire.from_ else _address(wire.sender),
        to=_addresses(wire.to_recipients or None),
        cc=_addresses(wire.cc_recipients),
        reply_to=_addresses(wire.reply_to),
        importance=wire.importance or "normal",
        categories=tuple(name for name in wire.categories if name) if wire.categories else (),
        is_read=wire.is_read is True,
        has_attachments=wire.has_attachments is True,
        preview=wire.body_preview or "",
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
        return Entry(identity)
    return Entry(identity, False, message(wire, mailbox, folder))


def _is_partial(wire: WireMessage) -> bool:
    """An updated message may come with only what changed (delta-query-overview docs): rules must not judge that."""
    return wire.subject is UNSET or wire.to_recipients is UNSET or wire.has_attachments is UNSET


def _kind(odata_type: str) -> Literal["file", "item", "reference"]:
    lowered = odata_type.lower()
    if lowered.endswith("itemattachment"):
        return "item"
    return "reference" if lowered.endswith("referenceattachment") else "file"


def _aware(moment: datetime | None) -> datetime | None:
    """Graph's times are UTC even without saying so (message resource docs)."""
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _address(recipient: WireRecipient | None) -> Address:
    if recipient is None or recipient.email_address is None:
        return NOBODY
    email = recipient.email_address
    return Address(email.name or "", email.address or "")


def _addresses(recipients: list[WireRecipient | None] | None) -> tuple[Address, ...]:
    return tuple([_address(each) for each in recipients if each is not None]) if recipients else ()
