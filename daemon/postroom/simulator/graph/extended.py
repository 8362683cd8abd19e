"""Extended (MAPI) properties: those a client has set, and the ones Exchange makes of a mail itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.state.charsets import decode_text
from postroom.simulator.state.headers import first

if TYPE_CHECKING:
    from postroom.simulator.graph.message_json import View

SINGLE = "singleValueExtendedProperties"
MULTIPLE = "multiValueExtendedProperties"
_IDS = re.compile(r"id\s+eq\s+'((?:[^']|''){1,300})'", re.IGNORECASE)
_TAGGED = re.compile(r"(\w+)\s+0x0*([0-9a-f]{1,8})\Z", re.IGNORECASE)
_NAMED = re.compile(r"(\w+)\s+\{([0-9a-f-]{36})\}\s+(?:(name)\s+(.+)|(id)\s+0x0*([0-9a-f]{1,8}))\Z", re.IGNORECASE)
_READ, _UNSENT, _HAS_ATTACHMENT = 0x1, 0x8, 0x10
_CLASSES = {"REQUEST": "IPM.Schedule.Meeting.Request", "REPLY": "IPM.Schedule.Meeting.Resp.Pos"}


def extended_json(view: View, name: str, options: str) -> dict[str, Any]:
    """Write the properties an ``$expand`` filters for, only those the message has."""
    wanted = _IDS.findall(options)
    if not wanted:
        raise bad_request(f"The $expand of {name} needs $filter=id eq '...'.")
    several = name == MULTIPLE
    found = [
        {"id": known, "value": value if isinstance(value, str) else list(value)}
        for text in wanted
        if (value := property_value(view, known := property_id(text.replace("''", "'")))) is not None
        and isinstance(value, tuple) == several
    ]
    return {name: found} if found else {}


def property_id(text: str) -> str:
    """Write a property's id as Exchange does: ``Integer 0xe08``, lower case and without leading zeros."""
    if match := _TAGGED.match(text.strip()):
        return f"{match[1].capitalize() if match[1].islower() else match[1]} 0x{match[2].lower()}"
    if match := _NAMED.match(text.strip()):
        kind, guid, _, name, _, number = match.groups()
        return f"{kind} {{{guid.lower()}}} " + (f"Name {name}" if name else f"Id 0x{number.lower()}")
    return text.strip()


def read_extended(name: str, value: Any) -> dict[str, str | tuple[str, ...]]:
    """Read extended properties a client writes, by id; raises GraphFault 400."""
    if not isinstance(value, list):
        raise _invalid(name)
    return dict(_pair(name, one) for one in value)


def _pair(name: str, one: Any) -> tuple[str, str | tuple[str, ...]]:
    given = one.get("id") if isinstance(one, Mapping) else None
    content = one.get("value") if isinstance(one, Mapping) else None
    if not isinstance(given, str) or not (_TAGGED.match(given.strip()) or _NAMED.match(given.strip())):
        raise GraphFault(400, "ErrorInvalidProperty", f"The property id of an item of {name} is not valid.")
    if name == SINGLE and isinstance(content, str):
        return property_id(given), content
    if name == MULTIPLE and isinstance(content, list) and all(isinstance(each, str) for each in content):
        return property_id(given), tuple(content)
    raise _invalid(name)


def _invalid(name: str) -> GraphFault:
    return bad_request(f"The value of the property '{name}' is not valid.", "RequestBodyRead")


def property_value(view: View, known: str) -> str | tuple[str, ...] | None:
    """Return what a message has under a property's id, None for nothing."""
    if known in view.message.extended:
        return view.message.extended[known]
    compute = _COMPUTED.get(known.lower())
    return compute(view) or None if compute else None


def _flags(view: View) -> str:
    message = view.message
    return str(_READ * message.is_read | _UNSENT * message.is_draft | _HAS_ATTACHMENT * bool(view.envelope.attachments))


def _header(name: str) -> Callable[[View], str]:
    return lambda view: first(view.mail.headers(), name)


_COMPUTED: dict[str, Callable[[View], str]] = {
    "integer 0xe08": lambda view: str(view.message.size),
    "long 0xe08": lambda view: str(view.message.size),
    "integer 0xe07": _flags,
    "string 0x7d": lambda view: decode_text(view.mail.header_block()),
    "string 0x1a": lambda view: _CLASSES.get(view.message.meeting, "IPM.Note"),
    "string 0x37": lambda view: view.envelope.subject,
    "string 0x1035": lambda view: view.envelope.message_id,
    "string 0x1039": _header("references"),
    "string 0x1042": _header("in-reply-to"),
}
