"""From an answer's bytes to the structs of `wire`, straight; only what fails strictly is treated with tolerance.

What does not decode is repaired, or decoded entry by entry and field by field, so that one odd message costs time,
never a page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from postroom.errors import Unavailable
from postroom.graph.tolerant import NOT_JSON, loads, repair
from postroom.graph.wire import WireMessage, WirePage

StructT = TypeVar("StructT", bound=Struct)

_has_nul = re.compile(rb"\\u0000").search
"""A NUL is legal JSON, but no database takes it. The `in` of bytes takes twice as long to look for it."""

_DECODERS: dict[type[Struct], msgspec.json.Decoder[Any]] = {}


def decode(kind: type[StructT], body: bytes, *, doing: str = "reading", mailbox: str = "") -> StructT:
    """Decode an answer; raises Unavailable when it is not what Graph documents, which may be a proxy's page."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.json.Decoder(kind)
    try:
        if not _has_nul(body):
            strict: StructT = decoder.decode(body)
            return strict
    except NOT_JSON:
        pass  # what follows is slower and forgives more
    try:
        repaired: StructT = decoder.decode(repair(body))
    except NOT_JSON as error:
        raise _strange(doing, mailbox) from error
    return repaired


def decode_page(body: bytes, *, doing: str = "reading", mailbox: str = "") -> WirePage:
    """Decode a page of messages; fields of the wrong type are left out, entries that are no objects too."""
    try:
        return decode(WirePage, body, doing=doing, mailbox=mailbox)
    except Unavailable as error:
        document = _object(body)
        if not isinstance(document.get("value"), list):
            raise
        try:
            links = msgspec.convert({**document, "value": []}, WirePage)
        except msgspec.ValidationError:
            raise error from None
        entries = [_lenient(WireMessage, entry) for entry in document["value"] if isinstance(entry, dict)]
        return WirePage(entries, links.next_link, links.delta_link)


def decode_message(body: bytes, *, doing: str = "reading", mailbox: str = "") -> WireMessage:
    """Decode one message; fields of the wrong type are left out."""
    try:
        return decode(WireMessage, body, doing=doing, mailbox=mailbox)
    except Unavailable:
        document = _object(body)
        if "id" not in document:
            raise
        return _lenient(WireMessage, document)


def _lenient(kind: type[StructT], entry: Mapping[str, Any]) -> StructT:
    """Convert field by field, leaving out what does not fit."""
    values = {}
    for each in msgspec.structs.fields(kind):
        if each.encode_name in entry:
            try:
                values[each.name] = msgspec.convert(entry[each.encode_name], each.type)
            except msgspec.ValidationError:
                continue
    return kind(**values)


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = loads(body)
    except NOT_JSON:
        return {}
    return document if isinstance(document, dict) else {}


def _strange(doing: str, mailbox: str) -> Unavailable:
    return Unavailable(
        f"While {doing}, the answer was not what Graph documents.",
        code="StrangeAnswer",
        remedy="If it lasts, look for a proxy or firewall between here and Graph.",
        mailbox=mailbox or None,
    )
