"""Sending: a draft, or mail given whole. Either way it is a draft first, then handed over, then kept in Sent Items."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from postroom.simulator.graph.call import SEND, Call, Operation, Operations
from postroom.simulator.graph.drafts import Prepared, admit, prepared, read_mime
from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.message_input import check_known, wrong
from postroom.simulator.graph.message_names import read_body
from postroom.simulator.graph.updates import check_own
from postroom.simulator.graph.writing import writing
from postroom.simulator.state import Envelope, Mailbox, StoredMessage

_PARAMETERS = frozenset({"message", "saveToSentItems"})
_FLAGS = {"true": True, "false": False}


async def _send_draft(call: Call) -> web.StreamResponse:
    """Send a draft, which becomes the copy in Sent Items and keeps its immutable id (LEARN outlook-immutable-id)."""
    mailbox = call.mailbox()
    async with writing(call, mailbox) as message:
        if not message.is_draft:
            raise GraphFault(403, "ErrorAccessDenied", "The message is not a draft; only a draft can be sent.")
        check_sendable(mailbox, mailbox.contents.envelope(message), message.size)
        if call.state.transport_time > 0:
            submit_late(call, mailbox, message)
        else:
            submit(call, mailbox, message)
    return web.Response(status=202)


async def _send_mail(call: Call) -> web.StreamResponse:
    """Send mail given as JSON or as MIME."""
    mailbox = call.mailbox()
    if call.is_mime:
        new, save = await read_mime(call, mailbox), True
    else:
        body, save = _asked(await read_body(call))
        new = prepared(mailbox, body)
    send(call, mailbox, new, save=save)
    return web.Response(status=202)


def send(call: Call, mailbox: Mailbox, new: Prepared, *, save: bool = True) -> None:
    """Send what was written: a draft of it appears in Drafts and leaves it (outlook-things-to-know-about-send-mail)."""
    check_sendable(mailbox, new.envelope, len(new.raw))
    submit(call, mailbox, admit(mailbox, mailbox.folder("drafts"), new), save=save)


def submit(call: Call, mailbox: Mailbox, message: StoredMessage, *, save: bool = True) -> None:
    """Hand a draft over to transport, and keep it in Sent Items or not at all."""
    raw, envelope = mailbox.contents.raw(message), mailbox.contents.envelope(message)
    if save:
        mailbox.mark_sent(message)
    else:
        mailbox.purge(message)
    call.state.transport(raw, envelope, sender=mailbox)


def submit_late(call: Call, mailbox: Mailbox, message: StoredMessage) -> None:
    """Leave a draft where it is until transport picks it up (outlook-things-to-know-about-send-mail).

    What Exchange does when it is submitted again meanwhile is not documented: here it goes out once more.
    """

    def depart() -> None:
        if message.is_draft and mailbox.find(message.item) is message:
            submit(call, mailbox, message)
        else:
            call.state.transport(mailbox.contents.raw(message), mailbox.contents.envelope(message), sender=mailbox)

    timer = asyncio.get_running_loop().call_later(call.state.transport_time, depart)
    call.state.on_close.append(timer.cancel)


def check_sendable(mailbox: Mailbox, envelope: Envelope, size: int) -> None:
    """Refuse mail without recipients, mail in another's name, and mail that is too large."""
    if not envelope.recipients or any("@" not in one.address for one in envelope.recipients):
        raise bad_request("At least one recipient is not valid.", "ErrorInvalidRecipients")
    if envelope.sent_from is not None:
        check_own(mailbox, envelope.sent_from)
    if size > mailbox.largest_message:
        raise too_large()


def too_large() -> GraphFault:
    """Make the 413 for a mail beyond the mailbox's limit."""
    return GraphFault(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")


def _asked(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """Read the parameters of sendMail; older samples write the flag as text."""
    check_known(body, _PARAMETERS, "sendMail")
    message, save = body.get("message"), body.get("saveToSentItems")
    if not isinstance(message, dict):
        raise bad_request("The parameter 'Message' is required.", "ErrorInvalidParameter")
    save = _FLAGS.get(save.lower(), save) if isinstance(save, str) else save
    if save is not None and not isinstance(save, bool):
        raise wrong("saveToSentItems")
    return message, save is not False


OPERATIONS: Operations = {
    ("POST", "users/*/messages/*/send"): Operation(_send_draft, SEND),
    ("POST", "users/*/mailfolders/*/messages/*/send"): Operation(_send_draft, SEND),
    ("POST", "users/*/sendmail"): Operation(_send_mail, SEND),
}
