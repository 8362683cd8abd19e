"""Writes attachments as Graph does: file, item (a mail in a mail) and reference (a link)."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from postroom.simulator.state import Part
from postroom.simulator.state.ids import attachment_id

if TYPE_CHECKING:
    from postroom.simulator.graph.message_json import View

BASE_PROPERTIES = frozenset({"id", "lastModifiedDateTime", "name", "contentType", "size", "isInline"})
"""What the abstract type has, and thus all that ``$select`` may name in a list (CSDL)."""


def attachment_json(view: View, index: int, part: Part, *, content: bool) -> dict[str, Any]:
    """Write an attachment; `content` adds what a file holds."""
    body: dict[str, Any] = {
        "@odata.type": f"#microsoft.graph.{part.kind}Attachment",
        "id": attachment_id(view.id, index),
        "lastModifiedDateTime": datetime.fromtimestamp(view.message.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "name": part.name,
        "contentType": None if part.kind == "reference" else part.content_type,
        "size": part.size,
        "isInline": part.inline,
    }
    if part.kind != "file":
        return body
    body |= {"contentId": part.content_id or None, "contentLocation": part.location or None}
    if content:
        body["contentBytes"] = b64encode(view.mailbox.contents.part(view.message, part)).decode("ascii")
    return body
