"""Mails and attachments for tests, valid without a single argument."""

from __future__ import annotations

import itertools
import mimetypes
from collections.abc import AsyncGenerator, Sequence
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from typing import Any, Literal

from postroom.plugin import Address, Attachment, Body, Message
from postroom.testing.clock import START

PIECE = 16 * 1024
"""Bytes of the pieces that content comes in, so that a handler meets more than one."""

_numbers = itertools.count(1)


def make_message(**overrides: Any) -> Message:
    """Return a mail from a supplier to a watched mailbox; any field of `Message` can be given another value."""
    number = next(_numbers)
    fields: dict[str, Any] = {
        "id": f"AAMkAG-immutable-{number:04}",
        "mailbox": "invoices@contoso.example",
        "folder": "Inbox",
        "received_at": START,
        "sent_at": START,
        "internet_message_id": f"<mail-{number}@supplier.example>",
        "conversation_id": f"conversation-{number}",
        "subject": "Invoice 4711",
        "sender": Address("Ada Supplier", "ada@supplier.example"),
        "sent_from": Address("Ada Supplier", "ada@supplier.example"),
        "to": (Address("Invoices", "invoices@contoso.example"),),
    }
    return Message(**(fields | overrides))


def make_attachment(
    name: str = "invoice.pdf",
    content: bytes | str = b"%PDF-1.7 invoice",
    *,
    content_type: str | None = None,
    size: int | None = None,
    inline: bool = False,
    kind: Literal["file", "item"] = "file",
) -> Attachment:
    """Return an attachment that holds `content`; `size` is what is claimed of it, in truth by default."""
    raw = content.encode() if isinstance(content, str) else content
    stated = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    source = _InMemory(raw)
    return Attachment(
        f"attachment-{next(_numbers)}", name, stated, len(raw) if size is None else size, inline, source, kind
    )


class _InMemory:
    """An `AttachmentSource` of a single attachment."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def attachment_content(self, attachment_id: str) -> AsyncGenerator[bytes, None]:  # noqa: ARG002 - there is one only
        for start in range(0, len(self.content), PIECE):
            yield self.content[start : start + PIECE]


async def make_mime(message: Message, body: Body, attachments: Sequence[Attachment] = ()) -> bytes:
    """Return the mail as MIME, the same each time."""
    mail = EmailMessage()
    mail["From"] = _one_line(str(message.sender))
    mail["To"] = _one_line(", ".join(map(str, message.to)))
    mail["Subject"] = _one_line(message.subject)
    mail["Message-ID"] = message.internet_message_id
    mail["Date"] = format_datetime(message.sent_at or message.received_at)
    mail.set_content(body.content, subtype="html" if body.kind == "html" else "plain")
    for attachment in attachments:
        main, _, sub = attachment.content_type.partition("/")
        content = await attachment.read()
        mail.add_attachment(content, maintype=main, subtype=sub, filename=_one_line(attachment.name))
    if mail.is_multipart():
        mail.set_boundary(f"=_{sha256(message.id.encode()).hexdigest()[:24]}")
    return mail.as_bytes()


def _one_line(text: str) -> str:
    return " ".join(text.encode("utf-8", "replace").decode().split())
