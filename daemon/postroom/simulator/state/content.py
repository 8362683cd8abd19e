"""Reads what a message keeps on disk: headers, text, attachments, the MIME itself; only when asked."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from postroom.simulator.state.charsets import decode_text, decode_transfer, decode_words
from postroom.simulator.state.headers import read_fields
from postroom.simulator.state.message import Envelope, Part, StoredMessage
from postroom.simulator.state.spool import Spool

_decoder = msgspec.msgpack.Decoder(Envelope)
_encoder = msgspec.msgpack.Encoder()


class Text(NamedTuple):
    """A body: ``text`` or ``html``, and the characters."""

    kind: str
    content: str


class Contents:
    """The mails on disk, by the message they belong to."""

    __slots__ = ("_spool",)

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def put_mime(self, raw: bytes) -> int:
        """Store MIME; returns where."""
        return self._spool.put(raw)

    def put_envelope(self, envelope: Envelope) -> int:
        """Store an envelope; returns where."""
        return self._spool.put(_encoder.encode(envelope))

    def envelope(self, message: StoredMessage) -> Envelope:
        """Read what was known of a mail when it arrived."""
        return _decoder.decode(self._spool.get(message.envelope_at))

    def raw(self, message: StoredMessage) -> bytes:
        """Read the whole MIME."""
        return self._spool.get(message.mime_at)

    def header_block(self, message: StoredMessage, envelope: Envelope) -> bytes:
        """Read the header block."""
        return self._spool.slice(message.mime_at, 0, envelope.headers_end)

    def headers(self, message: StoredMessage, envelope: Envelope) -> list[tuple[str, str]]:
        """Read the header fields in order, encoded words decoded."""
        fields = read_fields(self.header_block(message, envelope))
        return [(name, decode_words(value)) for name, value in fields]

    def part(self, message: StoredMessage, part: Part) -> bytes:
        """Read a part's content, transfer encoding undone."""
        return decode_transfer(self._spool.slice(message.mime_at, part.start, part.end), part.encoding)

    def text(self, message: StoredMessage, envelope: Envelope) -> Text:
        """Read the body: HTML where the mail has it, else text."""
        part = envelope.html or envelope.text
        if part is None:
            return Text("text", "")
        kind = "html" if part is envelope.html else "text"
        return Text(kind, decode_text(self.part(message, part), part.charset))
