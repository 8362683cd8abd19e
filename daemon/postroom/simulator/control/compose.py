"""Writes the MIME of a mail that was described in a few fields."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

import msgspec


class Enclosed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An attachment; `content` is base64."""

    name: str = "file.bin"
    content: str = ""
    content_type: str = "application/octet-stream"


class Letter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mail in a few fields.

    Attributes:
        folder: Where it shall lie: a well-known name or an id.
        received_at: When it came, with a zone; now without.
    """

    subject: str = "Hello"
    sender: str = msgspec.field(default="anna@supplier.example", name="from")
    text: str = "Good day.\n"
    html: str = ""
    attachments: Sequence[Enclosed] = ()
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    folder: str = "inbox"
    received_at: datetime | None = None


def read_letter(document: Mapping[str, Any]) -> Letter:
    """Read a letter from JSON; raises ValueError."""
    try:
        letter = msgspec.convert(document, Letter)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if letter.received_at is not None and letter.received_at.tzinfo is None:
        raise ValueError("received_at needs a zone, such as 2026-03-02T09:00:00Z")
    return letter


def write_mail(letter: Letter, recipient: str, now: datetime) -> bytes:
    """Write the mail; raises ValueError for a header or a file that cannot be sent."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = _line(letter.sender), recipient, _line(letter.subject)
    mail["Date"], mail["Message-ID"] = format_datetime(now), f"<{uuid.uuid4()}@simulated.example>"
    for name, value in letter.headers.items():
        if not name.isascii() or not name.replace("-", "").isalnum() or name.lower() in mail:
            raise ValueError(f"{name[:100]!r} is no further header")
        mail[name] = _line(value)
    mail.set_content(_text(letter.text))
    if letter.html:
        mail.add_alternative(_text(letter.html), subtype="html")
    for file in letter.attachments:
        main, _, sub = file.content_type.partition("/")
        name = _line(file.name)
        mail.add_attachment(_decoded(file), maintype=_word(main), subtype=_word(sub), filename=name)
    return mail.as_bytes()


def _decoded(file: Enclosed) -> bytes:
    try:
        return base64.b64decode(file.content, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"the content of {file.name[:100]!r} is not base64") from None


def _line(text: str) -> str:
    return " ".join(_text(text).split())


def _text(text: str) -> str:
    """Return text without lone surrogates, which no charset can write."""
    return text.encode("utf-8", "replace").decode()


def _word(text: str) -> str:
    if not text.isascii() or not text or any(not (letter.isalnum() or letter in "-+._") for letter in text):
        raise ValueError("a content_type is two words, such as application/pdf")
    return text
