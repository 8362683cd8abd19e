"""Writes MIME from the parts of a draft, and takes a stored draft apart again."""

from __future__ import annotations

import re
from base64 import encodebytes
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.message import Message
from email.policy import compat32
from email.utils import format_datetime, formataddr
from typing import Literal

from postroom.simulator.state.content import Contents, Text
from postroom.simulator.state.message import Address, Envelope, StoredMessage

_CRLF = compat32.clone(linesep="\r\n", max_line_length=78)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_OWN_FIELDS = frozenset({
    "from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "importance", "mime-version",
    "content-type", "content-transfer-encoding", "content-disposition",
})  # fmt: skip


EMPTY = Text("text", "")


@dataclass(frozen=True, slots=True)
class Enclosure:
    """An attachment of a draft: `data` is the file, or the MIME of an enclosed mail; a reference has a `url`."""

    name: str
    content_type: str
    data: bytes = b""
    kind: Literal["file", "item", "reference"] = "file"
    content_id: str = ""
    inline: bool = False
    url: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """The parts a mail is written from.

    Attributes:
        sent: Seconds since 1970.
        headers: Further fields, as (name, value).
    """

    message_id: str
    sent: int
    sent_from: Address | None = None
    sender: Address | None = None
    subject: str = ""
    body: Text = EMPTY
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    importance: str = "normal"
    headers: tuple[tuple[str, str], ...] = ()
    enclosures: tuple[Enclosure, ...] = ()


def compose(draft: Draft) -> bytes:
    """Write a draft as MIME. Text is base64, so that it comes back character for character."""
    body = _text_part(draft.body)
    inline = [_enclosed(one) for one in draft.enclosures if one.inline]
    others = [_enclosed(one) for one in draft.enclosures if not one.inline]
    whole = _multipart("mixed", [_multipart("related", [body, *inline]), *others])
    fields = "".join(f"{name}: {value}\r\n" for name, value in [*_fields(draft), ("MIME-Version", "1.0")])
    return fields.encode("utf-8") + whole.as_bytes(policy=_CRLF)


def take_apart(contents: Contents, message: StoredMessage, envelope: Envelope) -> Draft:
    """Return the parts of a stored mail."""
    enclosures = tuple(
        Enclosure(
            part.name,
            part.content_type,
            contents.part(message, part),
            part.kind,
            part.content_id,
            part.inline,
            part.url,
        )
        for part in envelope.attachments
    )
    fields = contents.headers(message, envelope)
    return Draft(
        message_id=envelope.message_id,
        sent=envelope.sent or message.created,
        sent_from=envelope.sent_from,
        sender=envelope.sender,
        subject=envelope.subject,
        body=contents.text(message, envelope),
        to=envelope.to,
        cc=envelope.cc,
        bcc=envelope.bcc,
        reply_to=envelope.reply_to,
        importance=message.importance,
        headers=tuple((name, value) for name, value in fields if name.lower() not in _OWN_FIELDS),
        enclosures=enclosures,
    )


def _fields(draft: Draft) -> list[tuple[str, str]]:
    """Return the header fields of a draft, none of which can hold a line break."""
    people = {"From": (draft.sent_from,), "Sender": (draft.sender if draft.sender != draft.sent_from else None,)}
    lists = people | {"To": draft.to, "Cc": draft.cc, "Bcc": draft.bcc, "Reply-To": draft.reply_to}
    addresses = [(name, ", ".join(_mailbox(one) for one in some if one)) for name, some in lists.items() if any(some)]
    importance = [] if draft.importance == "normal" else [("Importance", draft.importance)]
    date = format_datetime(datetime.fromtimestamp(draft.sent, UTC))
    return [
        *addresses,
        ("Subject", _encoded(draft.subject)),
        ("Date", date),
        ("Message-ID", _plain(draft.message_id)),
        *importance,
        *((_plain(name), _encoded(value)) for name, value in draft.headers),
    ]


def _plain(value: str) -> str:
    return _CONTROL.sub(" ", value).strip()


def _encoded(value: str) -> str:
    value = _plain(value)
    return value if value.isascii() and "=?" not in value else Header(value, "utf-8", maxlinelen=998).encode()


def _mailbox(one: Address) -> str:
    address = "".join(character for character in _plain(one.address) if character not in '<>,;"')
    return formataddr((_plain(one.name), address)) if address.isascii() else f"{_encoded(one.name)} <{address}>"


def _text_part(text: Text) -> Message:
    part = Message()
    part["Content-Type"] = f'text/{"html" if text.kind == "html" else "plain"}; charset="utf-8"'
    return _with_data(part, text.content.encode("utf-8", "replace"))


def _with_data(part: Message, data: bytes) -> Message:
    part["Content-Transfer-Encoding"] = "base64"
    part.set_payload(encodebytes(data).decode("ascii"))
    return part


def _enclosed(one: Enclosure) -> Message:
    """Write an attachment; an enclosed mail keeps its bytes, a reference is a link (RFC 2017)."""
    part = Message()
    if one.kind == "reference":
        part.add_header("Content-Type", "message/external-body", access_type="URL", url=_plain(one.url))
    else:
        part["Content-Type"] = "message/rfc822" if one.kind == "item" else _content_type(one.content_type)
    name = _plain(one.name)
    part.add_header(
        "Content-Disposition",
        "inline" if one.inline else "attachment",
        filename=name if name.isascii() else ("utf-8", "", name),
    )
    if one.content_id:
        part["Content-ID"] = f"<{_plain(one.content_id)}>"
    return _with_data(part, one.data)


def _content_type(value: str) -> str:
    return value if re.fullmatch(r"[\w.+-]+/[\w.+-]+", value, re.ASCII) else "application/octet-stream"


def _multipart(kind: str, parts: list[Message]) -> Message:
    """Bind parts together; a single one stays alone."""
    if len(parts) == 1:
        return parts[0]
    whole = Message()
    whole["Content-Type"] = f"multipart/{kind}"
    whole.set_payload(list(parts))
    return whole
