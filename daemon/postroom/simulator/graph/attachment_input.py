"""Reads attachments a client writes: files, mails to enclose, links."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Literal, cast

from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.filters import read_instant
from postroom.simulator.graph.message_input import check_known, check_names, draft_parts, items, text, wrong
from postroom.simulator.state import Draft, Enclosure, compose

LARGEST_FILE = 3 * 1024 * 1024
"""Bytes from which on an attachment needs an upload session (LEARN outlook-large-attachments)."""
_BASE = frozenset({"id", "name", "contentType", "size", "isInline", "lastModifiedDateTime"})
_KINDS: dict[str, tuple[str, frozenset[str]]] = {
    "microsoft.graph.fileattachment": ("file", frozenset({"contentBytes", "contentId", "contentLocation"})),
    "microsoft.graph.itemattachment": ("item", frozenset({"item"})),
    "microsoft.graph.referenceattachment": (
        "reference",
        frozenset({"sourceUrl", "providerType", "permission", "isFolder"}),
    ),
}


def read_enclosures(body: Mapping[str, Any]) -> tuple[Enclosure, ...]:
    """Read the attachments in the JSON of a message; raises GraphFault 400 or 413."""
    return tuple(read_enclosure(one) for one in items("attachments", body.get("attachments")))


def read_enclosure(value: Any) -> Enclosure:
    """Read one attachment; raises GraphFault 400 or 413."""
    if not isinstance(value, dict):
        raise wrong("attachments")
    said = text("@odata.type", value.get("@odata.type")).lower().removeprefix("#")
    if said not in _KINDS:
        raise bad_request(
            "The @odata.type of an attachment must be that of a file, an item or a reference attachment.",
            "RequestBodyRead",
        )
    kind, own = _KINDS[said]
    check_known(value, _BASE | own, f"{kind}Attachment")
    name = text("name", value.get("name"))
    if not name.strip():
        raise bad_request("The property 'name' of an attachment is required.", "ErrorRequiredPropertyMissing")
    return Enclosure(
        name,
        text("contentType", value.get("contentType")) or "application/octet-stream",
        _data(kind, value),
        cast("Literal['file', 'item', 'reference']", kind),
        content_id=text("contentId", value.get("contentId")),
        inline=value.get("isInline") is True,
        url=text("sourceUrl", value.get("sourceUrl")),
    )


def _data(kind: str, value: Mapping[str, Any]) -> bytes:
    if kind == "item":
        return _item(value.get("item"))
    try:
        data = b64decode(text("contentBytes", value.get("contentBytes")), validate=True)
    except ValueError:
        raise wrong("contentBytes") from None
    if len(data) >= LARGEST_FILE:
        raise GraphFault(
            413, "ErrorAttachmentSizeLimitExceeded", "An attachment of 3 MB or more needs an upload session."
        )
    return data


def _item(item: Any) -> bytes:
    """Write the mail to be enclosed as MIME; events and contacts are not to be had here."""
    if not isinstance(item, dict):
        raise wrong("item")
    kind = text("@odata.type", item.get("@odata.type")).lower().removeprefix("#")
    if kind not in ("", "microsoft.graph.message"):
        raise bad_request("Only a message can be enclosed in the simulated tenant.", "ErrorInvalidRequest")
    check_names(item)
    parts: dict[str, Any] = {"message_id": "", **draft_parts(item)}
    return compose(Draft(sent=_sent(item), enclosures=read_enclosures(item), **parts))


def _sent(item: Mapping[str, Any]) -> int:
    try:
        return read_instant(text("sentDateTime", item.get("sentDateTime")))
    except (ValueError, OverflowError):
        return 0
