"""Writes messages as Graph does: which properties there are, and what each says."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from postroom.simulator.graph.attachment_json import attachment_json
from postroom.simulator.graph.body_json import body_json
from postroom.simulator.graph.call import READ, Call
from postroom.simulator.graph.extended import extended_json
from postroom.simulator.graph.faults import access_denied
from postroom.simulator.graph.options import read_expand, read_select
from postroom.simulator.state import Address, Envelope, Mailbox, StoredMessage
from postroom.simulator.state.ids import change_key, encode


def instant(seconds: int) -> str:
    """Write a time as Graph does."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class View:
    """A message about to be written; its envelope is read from disk at most once."""

    __slots__ = ("_envelope", "call", "mailbox", "message")

    def __init__(self, call: Call, mailbox: Mailbox, message: StoredMessage) -> None:
        self.call = call
        self.mailbox = mailbox
        self.message = message
        self._envelope: Envelope | None = None

    @property
    def envelope(self) -> Envelope:
        """What its MIME said."""
        if self._envelope is None:
            self._envelope = self.mailbox.contents.envelope(self.message)
        return self._envelope

    @property
    def id(self) -> str:
        """Its id, of the kind the client prefers."""
        immutable = self.call.prefer.immutable
        return self.mailbox.immutable_id(self.message) if immutable else self.mailbox.default_id(self.message)

    @property
    def change_key(self) -> str:
        """Its change key."""
        return change_key(self.mailbox.id, self.message.seq)


def recipient(address: Address | None) -> dict[str, Any] | None:
    """Write a recipient; without a display name the address serves as one."""
    if address is None:
        return None
    return {"emailAddress": {"name": address.name or address.address, "address": address.address}}


def _recipients(addresses: tuple[Address, ...]) -> list[dict[str, Any] | None]:
    return [recipient(address) for address in addresses]


def _conversation(view: View) -> bytes:
    name = f"{view.mailbox.id} {view.envelope.thread or view.message.item}"
    return blake2b(name.encode("utf-8", "replace"), digest_size=16).digest()


def _conversation_id(view: View) -> str:
    return encode(b"\x00\x04\x24\x00" + view.mailbox.id.encode("ascii") + b"\x00\x10\x00" + _conversation(view))


def _conversation_index(view: View) -> str:
    return b64encode(b"\x01" + view.message.created.to_bytes(5, "big") + _conversation(view)).decode("ascii")


def _headers(view: View) -> list[dict[str, str]]:
    headers = view.mailbox.contents.headers(view.message, view.envelope)
    return [{"name": name, "value": value} for name, value in headers]


def _web_link(view: View) -> str:
    item = view.mailbox.default_id(view.message).replace("=", "%3D")
    return f"https://outlook.office365.com/owa/?ItemID={item}&exvsurl=1&viewmodel=ReadMessageItem"


_PROPERTIES: dict[str, Callable[[View], Any]] = {
    "createdDateTime": lambda view: instant(view.message.created),
    "lastModifiedDateTime": lambda view: instant(view.message.modified),
    "changeKey": lambda view: view.change_key,
    "categories": lambda view: view.message.categories,
    "receivedDateTime": lambda view: instant(view.message.received),
    "sentDateTime": lambda view: instant(view.message.received if view.envelope.sent is None else view.envelope.sent),
    "hasAttachments": lambda view: view.message.has_attachments,
    "internetMessageId": lambda view: view.envelope.message_id,
    "subject": lambda view: view.envelope.subject,
    "bodyPreview": lambda view: view.envelope.preview,
    "importance": lambda view: view.message.importance,
    "parentFolderId": lambda view: view.message.folder.id,
    "conversationId": _conversation_id,
    "conversationIndex": _conversation_index,
    "isDeliveryReceiptRequested": lambda _: False,
    "isReadReceiptRequested": lambda view: view.envelope.read_receipt,
    "isRead": lambda view: view.message.is_read,
    "isDraft": lambda view: view.message.is_draft,
    "webLink": _web_link,
    "inferenceClassification": lambda _: "focused",
    "body": lambda view: body_json(view.mailbox, view.message, view.envelope, view.call.prefer),
    "sender": lambda view: recipient(view.envelope.sender),
    "from": lambda view: recipient(view.envelope.sent_from),
    "toRecipients": lambda view: _recipients(view.envelope.to),
    "ccRecipients": lambda view: _recipients(view.envelope.cc),
    "bccRecipients": lambda view: _recipients(view.envelope.bcc),
    "replyTo": lambda view: _recipients(view.envelope.reply_to),
    "flag": lambda view: dict(view.message.flag),
    "uniqueBody": lambda view: body_json(view.mailbox, view.message, view.envelope, view.call.prefer),
    "internetMessageHeaders": _headers,
}
"""uniqueBody is the whole body: quoted mail is not told apart."""

ON_REQUEST = frozenset({"uniqueBody", "internetMessageHeaders"})
"""Sent only when selected (LEARN api/resources/message)."""
NOT_BASIC = frozenset({"body", "bodyPreview", "uniqueBody"})
"""Out of reach for Mail.ReadBasic.All (GD21 permissions-reference.md)."""

PROPERTIES = frozenset({"id", *_PROPERTIES})
EXPANDABLE = frozenset({"attachments", "singleValueExtendedProperties", "multiValueExtendedProperties", "extensions"})
_ALL = tuple(name for name in _PROPERTIES if name not in ON_REQUEST)
_BASIC = tuple(name for name in _ALL if name not in NOT_BASIC)


def selected(call: Call, text: str | None = None) -> tuple[str, ...]:
    """Return the properties the call asks for; raises GraphFault when it may not have them."""
    wanted = read_select(call.options.get("select", "") if text is None else text, PROPERTIES | EXPANDABLE, "message")
    if not call.may(READ) and not NOT_BASIC.isdisjoint(wanted):
        raise access_denied()
    return wanted


def expanded(call: Call) -> dict[str, str]:
    """Return what the call wants expanded; raises GraphFault when it may not have it."""
    if "expand" not in call.options:
        return {}
    call.require(READ)
    return read_expand(call.options["expand"], EXPANDABLE, "message")


def message_json(view: View, select: tuple[str, ...], expand: dict[str, str] | None = None) -> dict[str, Any]:
    """Write a message with the properties selected, all ordinary ones when none are."""
    body: dict[str, Any] = {"@odata.etag": f'W/"{view.change_key}"', "id": view.id}
    overrides = view.message.overrides
    for name in select or (_ALL if view.call.may(READ) else _BASIC):
        if name in overrides:
            body[name] = overrides[name]
        elif name in _PROPERTIES:
            body[name] = _PROPERTIES[name](view)
    return body | _expansions(view, expand or {})


def _expansions(view: View, expand: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "attachments" in expand:
        parts = enumerate(view.envelope.attachments)
        found["attachments"] = [attachment_json(view, index, part, content=True) for index, part in parts]
    if "singleValueExtendedProperties" in expand:
        found |= extended_json(view, expand["singleValueExtendedProperties"])
    return found
