"""Writes attachments as Graph does: file, item (a mail in a mail) and reference (a link)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from postroom.simulator.graph.faults import bad_request
from postroom.simulator.graph.options import read_select
from postroom.simulator.state import Part
from postroom.simulator.state.ids import attachment_id
from postroom.simulator.state.mime import MAX_DEPTH

if TYPE_CHECKING:
    from postroom.simulator.graph.message_json import View

BASE_PROPERTIES = frozenset({"id", "lastModifiedDateTime", "name", "contentType", "size", "isInline"})
"""What the abstract type has (CSDL)."""
_FILE = "microsoft.graph.fileAttachment/"
_OF_FILES = frozenset({"contentBytes", "contentId", "contentLocation"})
SELECTABLE = BASE_PROPERTIES | {_FILE + name for name in _OF_FILES}
"""What ``$select`` may name: the abstract type's own, and a file's by its cast."""
_ITEM = "microsoft.graph.itemattachment/item"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client wants of attachments: some properties, or all when it names none; enclosed mails or not."""

    select: tuple[str, ...] = ()
    items: bool = False

    def wants(self, name: str) -> bool:
        """Tell whether a property is to be written."""
        return not self.select or name in self.select or _FILE + name in self.select


class _Place(NamedTuple):
    """Where an attachment stands: in which message, and how many mails deep."""

    view: View
    depth: int


def read_wish(select: str, expand: str) -> Wish:
    """Read ``$select`` and ``$expand`` of attachments; raises GraphFault 400."""
    if expand and not expand.lower().startswith(_ITEM):
        raise bad_request(f"Parsing OData Select and Expand failed: '{expand[:100]}' cannot be expanded.")
    return Wish(read_select(select, SELECTABLE, "attachment"), bool(expand))


def read_nested_wish(options: str) -> Wish:
    """Read what stands in the parentheses of ``$expand=attachments(...)``; raises GraphFault 400."""
    found: dict[str, str] = {}
    while options.strip():
        name, _, rest = options.strip().partition("=")
        end = len(rest) if "(" in rest.split(";", 1)[0] else len(rest.split(";", 1)[0])
        found[name.strip().lower().removeprefix("$")] = rest[:end]
        options = rest[end + 1 :]
    return read_wish(found.get("select", ""), found.get("expand", ""))


def attachments_json(view: View, options: str) -> list[dict[str, Any]]:
    """Write all attachments of a message, as an ``$expand`` of it asks for them."""
    wish = read_nested_wish(options)
    return [attachment_json(view, part, wish) for part in view.envelope.attachments]


def attachment_json(view: View, part: Part, wish: Wish, *, depth: int = 0) -> dict[str, Any]:
    """Write an attachment; what was not wished for is neither written nor read from disk."""
    own = {"@odata.type": f"#microsoft.graph.{part.kind}Attachment", "id": attachment_id(view.id, part.number)}
    place = _Place(view, depth)
    written = {name: value(place, part) for name, value in _BASE.items() if wish.wants(name)}
    if part.kind == "file":
        written |= {name: value(place, part) for name, value in _FILES.items() if wish.wants(name)}
    if part.kind == "item" and wish.items:
        written["item"] = _item(place, part)
    return own | written


def _item(place: _Place, part: Part) -> dict[str, Any]:
    """Write an enclosed mail with its own attachments, as deep as Graph goes: 30 levels (GD21 attachment-get.md)."""
    inner = place.view.enclosed(place.view.mail.part(part))
    body = inner.item_json()
    if inner.envelope.attachments and place.depth < MAX_DEPTH:
        wish = Wish(items=True)
        body["attachments"] = [
            attachment_json(inner, one, wish, depth=place.depth + 1) for one in inner.envelope.attachments
        ]
    return body


_BASE: dict[str, Callable[[_Place, Part], Any]] = {
    "lastModifiedDateTime": lambda place, _: datetime.fromtimestamp(place.view.message.created, UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    ),
    "name": lambda _, part: part.name,
    "contentType": lambda _, part: None if part.kind in ("item", "reference") else part.content_type,
    "size": lambda _, part: part.size,
    "isInline": lambda _, part: part.inline,
}
_FILES: dict[str, Callable[[_Place, Part], Any]] = {
    "contentId": lambda _, part: part.content_id or None,
    "contentLocation": lambda _, part: part.location or None,
    "contentBytes": lambda place, part: b64encode(place.view.mail.part(part)).decode("ascii"),
}
