"""Reads a mail's MIME once, when it arrives: who, what, when, and where its parts lie. Never raises.

The scanner works on offsets into the raw bytes, so that an attachment can later be cut out of the spool and decoded
byte for byte, and so that no input can make it recurse deeply or build large intermediate texts.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from postroom.simulator.state import html
from postroom.simulator.state.charsets import decode_text, decode_transfer, decode_words
from postroom.simulator.state.headers import (
    MAX_HEADER_BYTES,
    Fields,
    first,
    header_end,
    read_addresses,
    read_date,
    read_fields,
    read_parameters,
)
from postroom.simulator.state.message import Address, Envelope, Part

MAX_DEPTH = 30
"""Deeper multiparts count as one attachment; Graph nests items up to 30 levels (GD21 attachment-get.md)."""
MAX_PARTS = 1000
MAX_PREVIEW = 255
_PREVIEW_BYTES = 16 * 1024
_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)
_NEWLINE = 0x0A
_MEETINGS = frozenset({"REQUEST", "REPLY", "CANCEL"})
"""Methods of iCalendar by which Exchange makes a mail an eventMessage (RFC 6047)."""
_MAX_SUBJECT = 2000
_MAX_NAME = 255


def parse(raw: bytes) -> Envelope:
    """Read a mail, as broken as it may be."""
    body = header_end(raw)
    fields = read_fields(raw[: min(body, MAX_HEADER_BYTES)])
    parts = _Parts(raw)
    parts.walk(_Entity(fields, body, len(raw)), ())
    sent_from = read_addresses(first(fields, "from"))[:1]
    message_id = first(fields, "message-id")[:_MAX_SUBJECT]
    return Envelope(
        subject=decode_words(first(fields, "subject"))[:_MAX_SUBJECT],
        sent_from=sent_from[0] if sent_from else None,
        sender=next(iter(read_addresses(first(fields, "sender")) or sent_from), None),
        to=_all(fields, "to"),
        cc=_all(fields, "cc"),
        bcc=_all(fields, "bcc"),
        reply_to=_all(fields, "reply-to"),
        message_id=message_id,
        sent=read_date(first(fields, "date")),
        importance=_importance(fields),
        read_receipt=bool(first(fields, "disposition-notification-to")),
        thread=_thread(fields) or message_id,
        headers_end=body,
        preview=_preview(raw, parts.text, parts.html),
        text=parts.text,
        html=parts.html,
        attachments=tuple(parts.attachments),
        calendar=parts.calendar,
        meeting=parts.meeting,
    )


class _Entity(NamedTuple):
    """A MIME entity: its fields, and where its content lies."""

    fields: Fields
    start: int
    end: int


class _Parts:
    """Sorts the parts of one mail into bodies and attachments."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.text: Part | None = None
        self.html: Part | None = None
        self.calendar: Part | None = None
        self.meeting = ""
        self.attachments: list[Part] = []
        self._seen = 0

    def walk(self, entity: _Entity, within: tuple[str, ...]) -> None:
        """Take in an entity and everything in it; `within` names the multiparts around it."""
        kind, parameters = read_parameters(first(entity.fields, "content-type"))
        boundary = parameters.get("boundary", "")
        if kind.startswith("multipart/") and boundary and len(within) < MAX_DEPTH:
            for start, end in self._split(entity, boundary):
                body = header_end(self.raw, start, end)
                fields = read_fields(self.raw[start : min(body, start + MAX_HEADER_BYTES)])
                self.walk(_Entity(fields, body, end), (*within, kind))
        else:
            self._leaf(entity, _proper_type(kind), parameters, within)

    def _split(self, entity: _Entity, boundary: str) -> list[tuple[int, int]]:
        """Return where the parts of a multipart begin and end; a missing end is the end of the whole."""
        mark = re.escape(boundary[:200].encode("utf-8"))
        delimiter = re.compile(rb"--" + mark + rb"(--)?[ \t]*(?:\r?\n|\Z)")
        found: list[tuple[int, int]] = []
        begin: int | None = None
        for match in delimiter.finditer(self.raw, entity.start, entity.end):
            if match.start() > entity.start and self.raw[match.start() - 1] != _NEWLINE:
                continue
            if begin is not None:
                found.append((begin, max(begin, _before_newline(self.raw, match.start()))))
            begin = None if match[1] else match.end()
            self._seen += 1
            if match[1] or self._seen > MAX_PARTS:
                return found
        return [*found, (begin, entity.end)] if begin is not None else found

    def _leaf(self, entity: _Entity, kind: str, parameters: dict[str, str], within: tuple[str, ...]) -> None:
        """Decide whether a part is a body or an attachment."""
        disposition, more = read_parameters(first(entity.fields, "content-disposition"))
        name = (more.get("filename") or parameters.get("name", ""))[:_MAX_NAME]
        encoding = first(entity.fields, "content-transfer-encoding").strip().lower()
        charset = parameters.get("charset", "")
        part = Part(entity.start, entity.end, kind, encoding, charset)
        may_be_body = disposition != "attachment" and not name
        footer = self.html is not None and within[-1:] != ("multipart/alternative",)
        method = parameters.get("method", "").upper()
        if kind == "text/calendar" and method in _MEETINGS and disposition != "attachment" and self.calendar is None:
            self.calendar, self.meeting = part, method
        elif may_be_body and kind == "text/plain" and self.text is None and not footer:
            self.text = part
        elif may_be_body and kind == "text/html" and self.html is None:
            self.html = part
        else:
            inline = disposition == "inline" or (disposition != "attachment" and "multipart/related" in within)
            self.attachments.append(self._attachment(entity, part, name, parameters, inline=inline))

    def _attachment(self, entity: _Entity, part: Part, name: str, parameters: dict[str, str], *, inline: bool) -> Part:
        """Describe an attachment; `inline` says that the mail wants it shown within the text."""
        data = decode_transfer(self.raw[part.start : part.end], part.encoding)
        content_id = first(entity.fields, "content-id").strip().strip("<>")[:_MAX_NAME]
        return Part(
            start=part.start,
            end=part.end,
            content_type=part.content_type,
            encoding=part.encoding,
            charset=part.charset,
            name=name or self._default_name(part, data),
            content_id=content_id,
            location=first(entity.fields, "content-location")[:_MAX_SUBJECT],
            inline=inline and bool(content_id),
            kind=_kind(part.content_type, parameters),
            size=len(data),
            url=parameters.get("url", "")[:_MAX_SUBJECT],
            number=len(self.attachments),
        )

    def _default_name(self, part: Part, data: bytes) -> str:
        """Name an attachment that has no name, as Exchange does: a mail by its subject, others by number."""
        if part.content_type == "message/rfc822":
            fields = read_fields(data[: min(header_end(data), MAX_HEADER_BYTES)])
            return decode_words(first(fields, "subject"))[:_MAX_NAME]
        ending = {"text/plain": "txt", "text/html": "htm", "message/delivery-status": "dat"}.get(
            part.content_type, "dat"
        )
        return f"ATT{len(self.attachments) + 1:05d}.{ending}"


def _proper_type(kind: str) -> str:
    """Return a content type that can stand in an HTTP header; a mail without one is text (RFC 2045)."""
    if not kind:
        return "text/plain"
    return kind if _TYPE.fullmatch(kind) else "application/octet-stream"


def _kind(content_type: str, parameters: dict[str, str]) -> Literal["file", "item", "reference"]:
    if content_type == "message/rfc822":
        return "item"
    is_link = content_type == "message/external-body" and parameters.get("access-type", "").lower() == "url"
    return "reference" if is_link else "file"


def _before_newline(raw: bytes, at: int) -> int:
    """Return where the line before a delimiter ends: its newline belongs to the delimiter (RFC 2046)."""
    if raw.endswith(b"\r\n", 0, at):
        return at - 2
    return at - 1 if raw.endswith(b"\n", 0, at) else at


def _all(fields: Fields, name: str) -> tuple[Address, ...]:
    return read_addresses(", ".join(value for field, value in fields if field.lower() == name))


def _importance(fields: Fields) -> Literal["low", "normal", "high"]:
    said = f"{first(fields, 'importance')} {first(fields, 'x-priority')}".lower().split()
    if not said:
        return "normal"
    return "high" if said[0] in ("high", "1", "2") else "low" if said[0] in ("low", "4", "5") else "normal"


def _thread(fields: Fields) -> str:
    """Return the Internet message id the conversation began with, empty for a new one."""
    earlier = re.findall(r"<[^<>\s]+>", first(fields, "references") + " " + first(fields, "in-reply-to"))
    return earlier[0] if earlier else ""


def _preview(raw: bytes, text: Part | None, rich: Part | None) -> str:
    part = text or rich
    if part is None:
        return ""
    piece = decode_transfer(raw[part.start : min(part.end, part.start + _PREVIEW_BYTES)], part.encoding)
    words = decode_text(piece, part.charset)
    words = html.to_text(words, MAX_PREVIEW * 2) if part is rich else words
    return " ".join(words[: MAX_PREVIEW * 8].split())[:MAX_PREVIEW]
