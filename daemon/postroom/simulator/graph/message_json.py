"""Writes messages as Graph does: which properties there are, and what each says."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from postroom.simulator.graph.attachment_json import attachments_json
from postroom.simulator.graph.body_json import body_json
from postroom.simulator.graph.call import READ, Call
from postroom.simulator.graph.extended import MULTIPLE, SINGLE, extended_json
from postroom.simulator.graph.faults import access_denied
from postroom.simulator.graph.message_events import SELECTABLE, event_json
from postroom.simulator.graph.options import read_expand, read_select
from postroom.simulator.state import Address, Envelope, Mail, Mailbox, StoredMessage, loose
from postroom.simulator.state.ids import change_key, encode
from postroom.simulator.state.lookup import conversation


def instant(seconds: int) -> str:
    """Write a time as Graph does."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19] + "Z"


class View:
    """A message about to be written; its envelope is read from disk at most once.

    Args:
        call: The request.
        mailbox: Where the message lies.
        message: The message.
        mail: What to read from in place of the disk, for a mail enclosed in another.
    """

    __slots__ = ("_mail", "call", "mailbox", "message")

    def __init__(self, call: Call, mailbox: Mailbox, message: StoredMessage, mail: Mail | None = None) -> None:
        self.call: Call = call
        self.mailbox: Mailbox = mailbox
        self.message: StoredMessage = message
        self._mail: Mail | None = mail

    @property
    def mail(self) -> Mail:
        """Its contents."""
        if self._mail is None:
            self._mail = self.mailbox.contents.mail(self.message)
        return self._mail

    @property
    def envelope(self) -> Envelope:
        """What its MIME said."""
        return self.mail.envelope

    @property
    def id(self) -> str:
        """Its id, of the kind the client prefers; empty for a mail enclosed in another."""
        if not self.message.item:
            return ""
        immutable = self.call.prefer.immutable
        return self.mailbox.immutable_id(self.message) if immutable else self.mailbox.default_id(self.message)

    @property
    def change_key(self) -> str:
        """Its change key."""
        return change_key(self.mailbox.id, self.message.seq)

    def enclosed(self, raw: bytes) -> View:
        """Return a view of a mail that is attached to this one."""
        mail = loose(raw)
        outer, envelope = self.message, mail.envelope
        message = StoredMessage(
            item=0,
            folder=outer.folder,
            received=outer.received if envelope.sent is None else envelope.sent,
            created=outer.created,
            modified=outer.modified,
            size=len(raw),
            mime_at=0,
            envelope_at=0,
            message_id_hash=0,
            has_attachments=envelope.has_attachments,
            importance=envelope.importance,
            is_read=True,
            meeting=envelope.meeting,
        )
        return View(self.call, self.mailbox, message, mail)

    def item_json(self) -> dict[str, Any]:
        """Write an enclosed mail as the item of an attachment: it has no place and no state of its own."""
        body = {"@odata.type": "#microsoft.graph.message", **message_json(self, ()), "parentFolderId": None}
        return {name: value for name, value in body.items() if name not in ("@odata.etag", "changeKey", "webLink")}


def recipient(address: Address | None) -> dict[str, Any] | None:
    """Write a recipient; without a display name the address serves as one."""
    if address is None:
        return None
    return {"emailAddress": {"name": address.name or address.address, "address": address.address}}


def _recipients(addresses: tuple[Address, ...]) -> list[dict[str, Any] | None]:
    return [recipient(address) for address in addresses]


def _conversation(view: View) -> bytes:
    return conversation(view.mailbox.id, view.envelope.thread, view.message.item)


def conversation_id(mailbox: Mailbox, digest: bytes) -> str:
    """Write a conversation id; `digest` is what the mails of the conversation share."""
    return encode(b"\x00\x04\x24\x00" + mailbox.id.encode("ascii") + b"\x00\x10\x00" + digest)


def _conversation_index(view: View) -> str:
    return b64encode(b"\x01" + view.message.created.to_bytes(5, "big") + _conversation(view)).decode("ascii")


def _headers(view: View) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in view.mail.headers()]


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
    "conversationId": lambda view: conversation_id(view.mailbox, _conversation(view)),
    "conversationIndex": _conversation_index,
    "isDeliveryReceiptRequested": lambda _: False,
    "isReadReceiptRequested": lambda view: view.envelope.read_receipt,
    "isRead": lambda view: view.message.is_read,
    "isDraft": lambda view: view.message.is_draft,
    "webLink": _web_link,
    "inferenceClassification": lambda _: "focused",
    "body": lambda view: body_json(view.mail, view.call.prefer),
    "sender": lambda view: recipient(view.envelope.sender),
    "from": lambda view: recipient(view.envelope.sent_from),
    "toRecipients": lambda view: _recipients(view.envelope.to),
    "ccRecipients": lambda view: _recipients(view.envelope.cc),
    "bccRecipients": lambda view: _recipients(view.envelope.bcc),
    "replyTo": lambda view: _recipients(view.envelope.reply_to),
    "flag": lambda view: dict(view.message.flag),
    "uniqueBody": lambda view: body_json(view.mail, view.call.prefer, unique=True),
    "internetMessageHeaders": _headers,
}
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
    wanted = read_select(
        call.options.get("select", "") if text is None else text, PROPERTIES | EXPANDABLE | SELECTABLE, "message"
    )
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
    body: dict[str, Any] = {"@odata.etag": f'W/"{view.change_key}"', "id": view.id, **event_json(view, select)}
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
        found["attachments"] = attachments_json(view, expand["attachments"])
    for name in (SINGLE, MULTIPLE):
        if name in expand:
            found |= extended_json(view, name, expand[name])
    return found
