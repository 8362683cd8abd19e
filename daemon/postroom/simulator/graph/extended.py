"""Writes extended (MAPI) properties, as far as they are known: size and transport headers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from postroom.simulator.graph.faults import bad_request
from postroom.simulator.state.charsets import decode_text

if TYPE_CHECKING:
    from postroom.simulator.graph.message_json import View

_IDS = re.compile(r"id\s+eq\s+'([^']{1,200})'", re.IGNORECASE)
_TAGGED = re.compile(r"(\w+)\s+0x0*([0-9a-f]+)\Z", re.IGNORECASE)


def extended_json(view: View, options: str) -> dict[str, Any]:
    """Write the single-value properties an ``$expand`` filters for, only those the message has."""
    wanted = _IDS.findall(options)
    if not wanted:
        raise bad_request("The $expand of singleValueExtendedProperties needs $filter=id eq '...'.")
    found = [{"id": _name(text), "value": value} for text in wanted if (value := _value(view, _name(text))) is not None]
    return {"singleValueExtendedProperties": found} if found else {}


def _name(text: str) -> str:
    """Write a property's id as Exchange does: ``Integer 0xe08``, lower case and without leading zeros."""
    match = _TAGGED.match(text.strip())
    return f"{match[1]} 0x{match[2].lower()}" if match else text


def _value(view: View, name: str) -> str | None:
    kind, _, tag = name.partition(" ")
    if (kind.lower(), tag) in (("integer", "0xe08"), ("long", "0xe08")):
        return str(view.message.size)
    if (kind.lower(), tag) == ("string", "0x7d"):
        return decode_text(view.mailbox.contents.header_block(view.message, view.envelope))
    return None
