"""Reads what a client writes into messages: JSON of drafts, updates and sent mail, and MIME in base64."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.message_json import EXPANDABLE, PROPERTIES
from postroom.simulator.state import Address, Text

_MAX_CUSTOM_HEADERS = 5
_CUSTOM_HEADER = re.compile(r"[xX]-[!-9;-~]{1,200}")

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
}
"""Graph property -> part of a draft."""


def wrong(name: str) -> GraphFault:
    """Make the 400 for a value of the wrong kind."""
    return bad_request(f"The value of the property '{name}' is not valid.", "RequestBodyRead")


def check_names(body: Mapping[str, Any]) -> None:
    """Refuse properties a message does not have; annotations are let pass."""
    check_known(body, PROPERTIES | EXPANDABLE, "message")


def check_known(body: Mapping[str, Any], known: frozenset[str], kind: str) -> None:
    """Refuse properties a type does not have; annotations are let pass."""
    for name in body:
        if name not in known and "@" not in name:
            raise bad_request(
                f"The property '{name[:100]}' does not exist on type 'microsoft.graph.{kind}'. Make sure to only use "
                "property names that are defined by the type.",
                "RequestBodyRead",
            )


def draft_parts(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a draft that the JSON of a message sets; raises GraphFault 400."""
    found = {DRAFT_FIELDS[name]: read(name, body[name]) for name, read in _READERS.items() if name in body}
    return {name: value for name, value in found.items() if value is not None}


def decode_mime(data: bytes) -> bytes:
    """Read MIME from base64 (user-sendmail); raises GraphFault 400."""
    try:
        raw = b64decode(b"".join(data.split()), validate=True)
    except binascii.Error:
        raw = b""
    if not raw:
        raise bad_request("Invalid base64 string for MIME content.", "ErrorMimeContentInvalidBase64String")
    return raw


def text(name: str, value: Any) -> str:
    """Read a text; null is an empty one."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong(name)
    return value


def items(name: str, value: Any) -> list[Any]:
    """Read a list; null is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong(name)
    return value


def _body(name: str, value: Any) -> Text:
    if value is None:
        return Text("text", "")
    if not isinstance(value, dict):
        raise wrong(name)
    check_known(value, frozenset({"contentType", "content"}), "itemBody")
    kind = text(name, value.get("contentType")).lower() or "text"
    if kind not in ("text", "html"):
        raise wrong(name)
    return Text(kind, text(name, value.get("content")))


def _recipient(name: str, value: Any) -> Address:
    inner = value.get("emailAddress") if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        raise wrong(name)
    check_known(value, frozenset({"emailAddress"}), "recipient")
    check_known(inner, frozenset({"name", "address"}), "emailAddress")
    return Address(text(name, inner.get("name")), text(name, inner.get("address")))


def _optional_recipient(name: str, value: Any) -> Address | None:
    return None if value is None else _recipient(name, value)


def recipients(name: str, value: Any) -> tuple[Address, ...]:
    """Read a list of recipients; raises GraphFault 400."""
    return tuple(_recipient(name, one) for one in items(name, value))


def _importance(name: str, value: Any) -> str | None:
    if value is not None and str(value).lower() not in ("low", "normal", "high"):
        raise wrong(name)
    return None if value is None else str(value).lower()


def _headers(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    """Read custom headers: one to five, each beginning with ``x-`` (LEARN api/resources/message)."""
    pairs = []
    for one in items(name, value):
        if not isinstance(one, dict):
            raise wrong(name)
        pairs.append((text(name, one.get("name")), text(name, one.get("value"))))
    if not all(_CUSTOM_HEADER.fullmatch(one) for one, _ in pairs) or not 0 < len(pairs) <= _MAX_CUSTOM_HEADERS:
        raise bad_request(
            "Internet message headers must be one to five, each beginning with 'x-' or 'X-'.",
            "InvalidInternetMessageHeaderCollection",
        )
    return tuple(pairs)


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "subject": text,
    "body": _body,
    "toRecipients": recipients,
    "ccRecipients": recipients,
    "bccRecipients": recipients,
    "replyTo": recipients,
    "from": _optional_recipient,
    "sender": _optional_recipient,
    "importance": _importance,
    "internetMessageId": text,
    "internetMessageHeaders": _headers,
}
