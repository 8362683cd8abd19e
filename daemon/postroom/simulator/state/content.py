"""Reads what a message keeps on disk: headers, text, attachments, the MIME itself; only when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from postroom.simulator.state.charsets import decode_text, decode_transfer, decode_words
from postroom.simulator.state.headers import read_fields
from postroom.simulator.state.message import Envelope, Part, StoredMessage
from postroom.simulator.state.mime import parse
from postroom.simulator.state.spool import Spool

CHUNK = 256 * 1024
"""Bytes of a mail read at a time when it is streamed."""

_decoder = msgspec.msgpack.Decoder(Envelope)
_encoder = msgspec.msgpack.Encoder()


class Text(NamedTuple):
    """A body: ``text`` or ``html``, and the characters."""

    kind: str
    content: str


class Mail:
    """A mail to read from: what was known of it when it arrived, and its bytes wherever they lie.

    Args:
        envelope: What `parse` found.
        read: Returns the bytes from a start to an end.
    """

    __slots__ = ("_read", "envelope")

    def __init__(self, envelope: Envelope, read: Callable[[int, int], bytes]) -> None:
        self.envelope = envelope
        self._read = read

    def header_block(self) -> bytes:
        """Read the header block."""
        return self._read(0, self.envelope.headers_end)

    def headers(self) -> list[tuple[str, str]]:
        """Read the header fields in order, encoded words decoded."""
        return [(name, decode_words(value)) for name, value in read_fields(self.header_block())]

    def part(self, part: Part) -> bytes:
        """Read a part's content, transfer encoding undone."""
        return decode_transfer(self._read(part.start, part.end), part.encoding)

    def text(self) -> Text:
        """Read the body: HTML where the mail has it, else text."""
        part = self.envelope.html or self.envelope.text
        if part is None:
            return Text("text", "")
        kind = "html" if part is self.envelope.html else "text"
        return Text(kind, decode_text(self.part(part), part.charset))

    def calendar(self) -> str:
        """Read the invitation, empty where there is none."""
        part = self.envelope.calendar
        return "" if part is None else decode_text(self.part(part), part.charset)


def loose(raw: bytes) -> Mail:
    """Return a mail that lies in no mailbox."""
    return Mail(parse(raw), lambda start, end: raw[start:end])


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

    def mail(self, message: StoredMessage) -> Mail:
        """Return a message as a mail to read from."""
        spool, at = self._spool, message.mime_at
        return Mail(self.envelope(message), lambda start, end: spool.slice(at, start, end))

    def envelope(self, message: StoredMessage) -> Envelope:
        """Read what was known of a mail when it arrived."""
        return _decoder.decode(self._spool.get(message.envelope_at))

    def raw(self, message: StoredMessage) -> bytes:
        """Read the whole MIME."""
        return self._spool.get(message.mime_at)

    def record(self, at: int) -> bytes:
        """Read what `put_mime` stored there."""
        return self._spool.get(at)

    def chunks(self, message: StoredMessage) -> Iterator[bytes]:
        """Read the MIME piece by piece."""
        for start in range(0, message.size, CHUNK):
            yield self._spool.slice(message.mime_at, start, min(start + CHUNK, message.size))
