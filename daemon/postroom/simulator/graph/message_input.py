"""Reads what a client writes into messages: JSON of drafts, updates and sent mail, and MIME in base64."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.message_json import EXPANDABLE, PROPERTIES
from postroom.simulator.state import Address, Enclosure, Text

_MAX_CUSTOM_HEADERS = 5
_KINDS = {"#microsoft.graph.fileattachment": "file", "#microsoft.graph.referenceattachment": "reference"}

DRAFT_FIELDS: dict[str, str] = {
    "subject": "subject",
    "body": "body",
    "toRecipients": "to",
    "ccRecipients": "cc",
    "bccRecipients": "bcc",
    "replyTo": "reply_to",
    "from": "sent_from",
    "sender": "sender",
    "importance": "importance",
    "internetMessageId": "message_id",
    "internetMessageHeaders": "headers",
    "attachments": "enclosures",
}
"""Graph property -> part of a draft."""


def wrong(name: str) -> GraphFault:
    """Make the 400 for a value of the wrong kind."""
    return bad_request(f"The value of the property '{name}' is not valid.", "RequestBodyRead")


def check_names(body: Mapping[str, Any]) -> None:
    """Refuse properties a message does not have; annotations are let pass."""
    for name in body:
        if name not in PROPERTIES | EXPANDABLE and "@" not in name:
            raise bad_request(
                f"The property '{name[:100]}' does not exist on type 'microsoft.graph.message'. Make sure to only use "
                "property names that are defined by the type.",
                "RequestBodyRead",
            )


def draft_parts(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a draft that the JSON of a message sets; raises GraphFault 400."""
    return {DRAFT_FIELDS[name]: _READERS[name](name, value) for name, value in body.items() if name in _READERS}


def decode_mime(data: bytes) -> bytes:
    """Read MIME from base64 (user-sendmail); raises GraphFault 400."""
    try:
        raw = b64decode(b"".join(data.split()), validate=True)
    except binascii.Error:
        raw = b""
    if not raw:
        raise bad_request("Invalid base64 string for MIME content.", "ErrorMimeContentInvalidBase64String")
    return raw


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise wrong(name)
    return value


def _body(name: str, value: Any) -> Text:
    if not isinstance(value, dict) or str(value.get("contentType", "text")).lower() not in ("text", "html"):
        raise wrong(name)
    return Text(str(value.get("contentType", "text")).lower(), _text(name, value.get("content", "")))


def _recipient(name: str, value: Any) -> Address:
    inner = value.get("emailAddress") if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        raise wrong(name)
    return Address(_text(name, inner.get("name") or ""), _text(name, inner.get("address") or ""))


def _recipients(name: str, value: Any) -> tuple[Address, ...]:
    return tuple(_recipient(name, one) for one in _list(name, value))


def _importance(name: str, value: Any) -> str:
    if str(value).lower() not in ("low", "normal", "high"):
        raise wrong(name)
    return str(value).lower()


def _headers(_name: str, value: Any) -> tuple[tuple[str, str], ...]:
    """Read custom headers: one to five, each beginning with ``x-`` (LEARN api/resources/message)."""
    pairs = [(str(one.get("name", "")), str(one.get("value", ""))) for one in value if isinstance(one, dict)]
    proper = all(name.lower().startswith("x-") and name.isascii() and ":" not in name for name, _ in pairs)
    if not proper or not 0 < len(pairs) <= _MAX_CUSTOM_HEADERS:
        raise bad_request(
            "Internet message headers must be one to five, each beginning with 'x-' or 'X-'.",
            "InvalidInternetMessageHeaderCollection",
        )
    return tuple(pairs)


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise wrong(name)
    return value


def _enclosures(name: str, value: Any) -> tuple[Enclosure, ...]:
    return tuple(_enclosure(name, one) for one in _list(name, value))


def _enclosure(name: str, value: Any) -> Enclosure:
    kind = _KINDS.get(str(value.get("@odata.type", "")).lower()) if isinstance(value, dict) else None
    title = value.get("name") if isinstance(value, dict) else None
    if kind is None or not isinstance(title, str):
        raise wrong(name)
    if kind == "reference":
        return Enclosure(title, "", kind="reference", url=str(value.get("sourceUrl", "")))
    try:
        data = b64decode(str(value.get("contentBytes", "")), validate=True)
    except binascii.Error:
        raise wrong(name) from None
    content_type = str(value.get("contentType") or "application/octet-stream")
    return Enclosure(
        title, content_type, data, content_id=str(value.get("contentId") or ""), inline=value.get("isInline") is True
    )


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "subject": _text,
    "body": _body,
    "toRecipients": _recipients,
    "ccRecipients": _recipients,
    "bccRecipients": _recipients,
    "replyTo": _recipients,
    "from": _recipient,
    "sender": _recipient,
    "importance": _importance,
    "internetMessageId": _text,
    "internetMessageHeaders": _headers,
    "attachments": _enclosures,
}
