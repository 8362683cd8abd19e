"""Creating drafts, and sending mail: a draft, or at once."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from postroom.simulator.graph.call import SEND, WRITE, Call, Operation, Operations
from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.message_input import check_names, decode_mime, draft_parts, wrong
from postroom.simulator.graph.message_json import View
from postroom.simulator.graph.messages import entity
from postroom.simulator.graph.updates import check_own, plain_changes
from postroom.simulator.state import Address, Draft, Envelope, Mailbox, compose, parse


async def _create(call: Call) -> web.StreamResponse:
    """Create a draft, from JSON or from MIME, in Drafts or in the folder addressed."""
    mailbox = call.mailbox()
    folder = call.folder(mailbox) or mailbox.folder("drafts")
    if call.is_mime:
        message = mailbox.add(decode_mime(await call.request.read()), folder, is_read=True, is_draft=True)
    else:
        body = await call.json()
        raw = _written(mailbox, body)
        message = mailbox.add(raw, folder, is_read=True, is_draft=True)
        changes = plain_changes(message, body)
        if changes:
            mailbox.update(message, **changes)
    return entity(View(call, mailbox, message), (), {}, status=201)


async def _send_draft(call: Call) -> web.StreamResponse:
    """Send a draft, which becomes the copy in Sent Items and keeps its immutable id (LEARN outlook-immutable-id)."""
    mailbox = call.mailbox()
    message = call.message(mailbox)
    if not message.is_draft:
        raise GraphFault(403, "ErrorAccessDenied", "The message is not a draft; only a draft can be sent.")
    envelope = mailbox.contents.envelope(message)
    _check_sendable(mailbox, envelope)
    raw = mailbox.contents.raw(message)
    mailbox.mark_sent(message)
    call.state.transport(raw, envelope)
    return web.Response(status=202)


async def _send_mail(call: Call) -> web.StreamResponse:
    """Send mail given as JSON or as MIME."""
    mailbox = call.mailbox()
    if call.is_mime:
        raw, save = decode_mime(await call.request.read()), True
    else:
        raw, save = _asked(mailbox, await call.json())
    envelope = parse(raw)
    _check_sendable(mailbox, envelope)
    if save:
        mailbox.add(raw, mailbox.folder("sentitems"), is_read=True, envelope=envelope)
    call.state.transport(raw, envelope)
    return web.Response(status=202)


def _asked(mailbox: Mailbox, body: Mapping[str, Any]) -> tuple[bytes, bool]:
    """Read the parameters of sendMail; names are accepted with either initial."""
    parameters = {name[:1].lower() + name[1:]: value for name, value in body.items()}
    message, save = parameters.get("message"), parameters.get("saveToSentItems", True)
    if not isinstance(message, dict):
        raise bad_request("The parameter 'Message' is required.", "ErrorInvalidParameter")
    if save is not None and not isinstance(save, bool):
        raise wrong("saveToSentItems")
    return _written(mailbox, message), save is not False


def _written(mailbox: Mailbox, body: Mapping[str, Any]) -> bytes:
    """Write the JSON of a message as MIME, in the mailbox's name."""
    check_names(body)
    parts = draft_parts(body)
    own = Address(mailbox.display_name, mailbox.address)
    for name in ("sent_from", "sender"):
        check_own(mailbox, parts.setdefault(name, own))
    parts.setdefault("message_id", f"<{uuid.uuid4().hex}@{mailbox.address.partition('@')[2] or 'localhost'}>")
    return compose(Draft(sent=mailbox.now(), **parts))


def _check_sendable(mailbox: Mailbox, envelope: Envelope) -> None:
    """Refuse mail without recipients, and mail in another's name."""
    if not envelope.recipients or any("@" not in one.address for one in envelope.recipients):
        raise bad_request("At least one recipient is not valid.", "ErrorInvalidRecipients")
    if envelope.sent_from is not None:
        check_own(mailbox, envelope.sent_from)


OPERATIONS: Operations = {
    ("POST", "users/*/messages"): Operation(_create, WRITE),
    ("POST", "users/*/mailfolders/*/messages"): Operation(_create, WRITE),
    ("POST", "users/*/messages/*/send"): Operation(_send_draft, SEND),
    ("POST", "users/*/mailfolders/*/messages/*/send"): Operation(_send_draft, SEND),
    ("POST", "users/*/sendmail"): Operation(_send_mail, SEND),
}
