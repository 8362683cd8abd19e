"""Replying and forwarding: at once (reply, replyAll, forward) or as a draft to work on (createReply and so on)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from postroom.simulator.graph.attachment_input import read_enclosures
from postroom.simulator.graph.call import SEND, WRITE, Call, Operation, Operations
from postroom.simulator.graph.drafts import Prepared, admit, new_changes, new_message_id, own_address, read_mime
from postroom.simulator.graph.faults import bad_request
from postroom.simulator.graph.message_input import check_known, check_names, draft_parts, recipients, text, wrong
from postroom.simulator.graph.message_json import View
from postroom.simulator.graph.message_names import read_optional_body
from postroom.simulator.graph.messages import written
from postroom.simulator.graph.sending import send
from postroom.simulator.graph.updates import check_own
from postroom.simulator.state import Draft, Mail, Mailbox, StoredMessage, loose, take_apart, write
from postroom.simulator.state.answer import Answer, Kind, answer_draft, thread_headers

_PARAMETERS = frozenset({"message", "comment"})
_THREAD = frozenset({"in-reply-to", "references"})


def _sender(kind: Kind) -> Callable[[Call], Awaitable[web.StreamResponse]]:
    async def handle(call: Call) -> web.StreamResponse:
        mailbox = call.mailbox()
        send(call, mailbox, await _answer(call, mailbox, kind))
        return web.Response(status=202)

    return handle


def _creator(kind: Kind) -> Callable[[Call], Awaitable[web.StreamResponse]]:
    async def handle(call: Call) -> web.StreamResponse:
        mailbox = call.mailbox()
        new = await _answer(call, mailbox, kind)
        message = admit(mailbox, mailbox.folder("drafts"), new)
        return written(View(call, mailbox, message), status=201)

    return handle


async def _answer(call: Call, mailbox: Mailbox, kind: Kind) -> Prepared:
    """Write the answer the request asks for, from JSON or from MIME; raises GraphFault."""
    message = call.message(mailbox)
    mail = mailbox.contents.mail(message)
    if call.is_mime:
        given = loose((await read_mime(call, mailbox)).raw)
        return Prepared(*write(_of_mime(mailbox, message, mail, given, kind)), {})
    body = await read_optional_body(call)
    check_known(body, _PARAMETERS | ({"toRecipients"} if kind == "forward" else frozenset()), kind)
    inner = _message(body)
    parts = draft_parts(inner)
    for name in ("sent_from", "sender"):
        check_own(mailbox, parts.setdefault(name, own_address(mailbox)))
    if kind == "forward":
        parts |= _forwarded_to(body, inner)
    draft = _draft(mailbox, message, mail, kind, text("comment", body.get("comment")))
    enclosures = (*draft.enclosures, *read_enclosures(inner))
    headers = (*draft.headers, *parts.pop("headers", ()))
    content = write(replace(draft, **{**parts, "enclosures": enclosures, "headers": headers}))
    return Prepared(*content, new_changes(inner))


def _message(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the message parameter. A comment beside a body of its own is refused (message-reply.md)."""
    inner = body.get("message")
    if inner is None:
        return {}
    if not isinstance(inner, dict):
        raise wrong("message")
    check_names(inner)
    if inner.get("body") is not None and body.get("comment") is not None:
        raise bad_request("Specify either a comment or the body of the message parameter, not both.")
    return inner


def _forwarded_to(body: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """Read whom a forward goes to: one of two places says it, not both (message-forward.md)."""
    beside = body.get("toRecipients")
    if beside is not None and inner.get("toRecipients") is not None:
        raise bad_request("Specify either the parameter toRecipients or that of the message, not both.")
    return {} if beside is None else {"to": recipients("toRecipients", beside)}


def _draft(mailbox: Mailbox, message: StoredMessage, mail: Mail, kind: Kind, comment: str = "") -> Draft:
    answer = Answer(kind, mail, own_address(mailbox), message.received, comment)
    return answer_draft(answer, new_message_id(mailbox), mailbox.now())


def _of_mime(mailbox: Mailbox, message: StoredMessage, mail: Mail, given: Mail, kind: Kind) -> Draft:
    """Fill MIME up with what makes it an answer: recipients, subject and thread, where it says nothing of them."""
    own, said = _draft(mailbox, message, mail, kind), take_apart(given)
    threaded = any(name.lower() in _THREAD for name, _ in said.headers)
    return replace(
        said,
        message_id=said.message_id or own.message_id,
        sent=said.sent or own.sent,
        sent_from=said.sent_from or own.sent_from,
        sender=said.sender or own.sender,
        subject=said.subject or own.subject,
        to=said.to or own.to,
        cc=said.cc or (own.cc if not said.to else ()),
        headers=said.headers if threaded else (*said.headers, *thread_headers(mail)),
    )


_KINDS: dict[str, Kind] = {"reply": "reply", "replyall": "replyAll", "forward": "forward"}

OPERATIONS: Operations = {
    ("POST", f"{parent}messages/*/{prefix}{name}"): Operation(make(kind), needs)
    for parent in ("users/*/", "users/*/mailfolders/*/")
    for name, kind in _KINDS.items()
    for prefix, make, needs in (("", _sender, SEND), ("create", _creator, WRITE))
}
