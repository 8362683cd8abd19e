"""Writes MIME from the parts of a draft, and takes a mail apart again."""

from __future__ import annotations

import re
import uuid
from base64 import encodebytes
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.utils import encode_rfc2231, format_datetime, formataddr
from typing import Literal, NamedTuple

import msgspec

from postroom.simulator.state.content import Mail, Text
from postroom.simulator.state.message import Address, Envelope
from postroom.simulator.state.mime import parse

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_OWN_FIELDS = frozenset({
    "from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "importance", "mime-version",
    "content-type", "content-transfer-encoding", "content-disposition",
})  # fmt: skip


EMPTY = Text("text", "")


@dataclass(frozen=True, slots=True)
class Enclosure:
    """An attachment of a draft: `data` is the file, or the MIME of an enclosed mail; a reference has a `url`.

    Attributes:
        number: What the attachment's id is made of; None for one that is yet to get its number.
    """

    name: str
    content_type: str
    data: bytes = b""
    kind: Literal["file", "item", "reference"] = "file"
    content_id: str = ""
    inline: bool = False
    url: str = ""
    number: int | None = None


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


class Written(NamedTuple):
    """MIME, and what `parse` reads in it."""

    raw: bytes
    envelope: Envelope


class _Entity(NamedTuple):
    """A MIME entity about to be written."""

    fields: list[tuple[str, str]]
    content: bytes


def compose(draft: Draft) -> bytes:
    """Write a draft as MIME. Text is base64, so that it comes back character for character."""
    body = _text_part(draft.body)
    inline = [_enclosed(one) for one in draft.enclosures if one.inline]
    others = [_enclosed(one) for one in draft.enclosures if not one.inline]
    whole = _multipart("mixed", [_multipart("related", [body, *inline]), *others])
    return _written(_Entity([*_fields(draft), ("MIME-Version", "1.0"), *whole.fields], whole.content))


def write(draft: Draft) -> Written:
    """Write a draft as MIME; attachments keep the numbers they have, new ones get the next."""
    raw = compose(draft)
    envelope = parse(raw)
    order = sorted(draft.enclosures, key=lambda one: not one.inline)
    following = 1 + max((one.number for one in order if one.number is not None), default=-1)
    parts: list[msgspec.Struct] = []
    for part, one in zip(envelope.attachments, order, strict=False):
        number, following = (following, following + 1) if one.number is None else (one.number, following)
        parts.append(msgspec.structs.replace(part, number=number))
    return Written(raw, msgspec.structs.replace(envelope, attachments=tuple(parts)))


def take_apart(mail: Mail, importance: str | None = None) -> Draft:
    """Return the parts of a mail; `importance` is what has been set since."""
    envelope = mail.envelope
    enclosures = tuple(
        Enclosure(
            part.name,
            part.content_type,
            mail.part(part),
            part.kind,
            part.content_id,
            part.inline,
            part.url,
            part.number,
        )
        for part in envelope.attachments
    )
    return Draft(
        message_id=envelope.message_id,
        sent=envelope.sent or 0,
        sent_from=envelope.sent_from,
        sender=envelope.sender,
        subject=envelope.subject,
        body=mail.text(),
        to=envelope.to,
        cc=envelope.cc,
        bcc=envelope.bcc,
        reply_to=envelope.reply_to,
        importance=importance or envelope.importance,
        headers=tuple((name, value) for name, value in mail.headers() if name.lower() not in _OWN_FIELDS),
        enclosures=enclosures,
    )


def _fields(draft: Draft) -> list[tuple[str, str]]:
    """Return the header fields of a draft; the only line breaks in them are folds between addresses."""
    people = {"From": (draft.sent_from,), "Sender": (draft.sender if draft.sender != draft.sent_from else None,)}
    lists = people | {"To": draft.to, "Cc": draft.cc, "Bcc": draft.bcc, "Reply-To": draft.reply_to}
    addresses = [(name, ",\r\n ".join(address_field(one) for one in some if one)) for name, some in lists.items()]
    importance = [] if draft.importance == "normal" else [("Importance", draft.importance)]
    return [
        *((name, value) for name, value in addresses if value),
        ("Subject", encoded(draft.subject)),
        ("Date", format_datetime(datetime.fromtimestamp(draft.sent, UTC))),
        ("Message-ID", _plain(draft.message_id)),
        *importance,
        *((_plain(name), encoded(value)) for name, value in draft.headers),
    ]


def _plain(value: str) -> str:
    return _CONTROL.sub(" ", value).strip()


def encoded(value: str) -> str:
    """Write text as it stands in a header field, without line breaks."""
    value = _plain(value)
    return value if value.isascii() and "=?" not in value else Header(value, "utf-8", maxlinelen=998).encode()


def address_field(one: Address) -> str:
    """Write an address as it stands in a header field."""
    address = "".join(character for character in _plain(one.address) if character not in '<>,;"')
    return formataddr((_plain(one.name), address)) if address.isascii() else f"{encoded(one.name)} <{address}>"


def _text_part(text: Text) -> _Entity:
    kind = "html" if text.kind == "html" else "plain"
    return _base64(
        [("Content-Type", f'text/{kind}; charset="utf-8"')],
        text.content.encode("utf-8", "replace"),
    )


def _base64(fields: list[tuple[str, str]], data: bytes) -> _Entity:
    return _Entity([*fields, ("Content-Transfer-Encoding", "base64")], encodebytes(data).replace(b"\n", b"\r\n"))


def _enclosed(one: Enclosure) -> _Entity:
    """Write an attachment; an enclosed mail keeps its bytes (RFC 2046 allows no base64), a reference is a link."""
    place = "inline" if one.inline else "attachment"
    fields = [("Content-Type", _type(one)), ("Content-Disposition", f"{place}; {_parameter('filename', one.name)}")]
    if one.content_id:
        fields.append(("Content-ID", f"<{_plain(one.content_id)}>"))
    if one.kind == "item":
        return _Entity([*fields, ("Content-Transfer-Encoding", "8bit")], one.data)
    return _base64(fields, one.data)


def _type(one: Enclosure) -> str:
    if one.kind == "reference":
        return f"message/external-body; access-type=URL; {_parameter('url', one.url)}"
    if one.kind == "item":
        return "message/rfc822"
    proper = re.fullmatch(r"[\w.+-]{1,100}/[\w.+-]{1,100}", one.content_type, re.ASCII)
    return one.content_type if proper else "application/octet-stream"


def _parameter(name: str, value: str) -> str:
    """Write a parameter of a header field, encoded where it must be (RFC 2231)."""
    value = _plain(value)
    if not value.isascii():
        return f"{name}*={encode_rfc2231(value.encode('utf-8', 'replace').decode(), 'utf-8')}"
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{quoted}"'


def _multipart(kind: str, parts: list[_Entity]) -> _Entity:
    """Bind parts together; a single one stays alone."""
    if len(parts) == 1:
        return parts[0]
    boundary = f"=_{uuid.uuid4().hex}"
    pieces = b"".join(b"--%b\r\n%b\r\n" % (boundary.encode(), _written(part)) for part in parts)
    return _Entity(
        [("Content-Type", f'multipart/{kind}; boundary="{boundary}"')], pieces + f"--{boundary}--\r\n".encode()
    )


def _written(entity: _Entity) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in entity.fields)
    return fields.encode("utf-8", "replace") + b"\r\n" + entity.content
