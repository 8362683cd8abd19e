"""Attachments of a message: list, count, one, raw content, add, delete."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from postroom.simulator.graph.attachment_input import read_enclosure
from postroom.simulator.graph.attachment_json import BASE_PROPERTIES, Wish, attachment_json, read_wish
from postroom.simulator.graph.call import READ, WRITE, Call, Operation, Operations
from postroom.simulator.graph.faults import GraphFault
from postroom.simulator.graph.filters import read_filter
from postroom.simulator.graph.message_json import View
from postroom.simulator.graph.message_names import read_body
from postroom.simulator.graph.options import read_flag, read_number
from postroom.simulator.graph.sending import too_large
from postroom.simulator.graph.updates import apart, rewrite
from postroom.simulator.graph.writing import writing
from postroom.simulator.state import Enclosure, Mailbox, Part, StoredMessage, UnknownAttachment
from postroom.simulator.state.ids import attachment_id

_FILTERABLE = BASE_PROPERTIES - {"id", "lastModifiedDateTime"}
_ALL = 1 << 31


async def _list(call: Call) -> web.StreamResponse:
    """Answer the attachments, all of them on one page unless asked for less."""
    view = _view(call)
    wish = _wish(call)
    found = _filtered(call, view)
    skip, top = read_number(call.options, "skip", 0), read_number(call.options, "top", _ALL)
    body = {"@odata.context": f"{_context(call)}/attachments"}
    count = {"@odata.count": len(found)} if read_flag(call.options, "count") else {}
    page = [attachment_json(view, part, wish) for part in found[skip : skip + top]]
    return call.answer({**body, **count, "value": page})


async def _count(call: Call) -> web.StreamResponse:
    view = _view(call)
    return call.answer_bytes(str(len(_filtered(call, view))).encode(), "text/plain")


async def _get(call: Call) -> web.StreamResponse:
    view = _view(call)
    wish = _wish(call)
    part = _find(call, view)
    return _entity(call, view, part, wish)


async def _value(call: Call) -> web.StreamResponse:
    """Answer the bytes of a file, or the MIME of an enclosed mail; a link has no content (GD21 attachment-get.md)."""
    view = _view(call)
    part = _find(call, view)
    if part.kind == "reference":
        raise GraphFault(405, "ErrorInvalidOperation", "A reference attachment has no raw content.")
    content_type = "text/plain" if part.kind == "item" else part.content_type
    return call.answer_bytes(view.mail.part(part), content_type)


async def _add(call: Call) -> web.StreamResponse:
    """Add an attachment of under 3 MB (message-post-attachments)."""
    mailbox = call.mailbox()
    async with writing(call, mailbox) as message:
        enclosure = read_enclosure(await read_body(call))
        part = add_enclosure(mailbox, message, enclosure)
        view = View(call, mailbox, message)
        answer = _entity(call, view, part, Wish(), status=201)
        answer.headers["Location"] = f"{call.base}/{_place(call)}/attachments('{attachment_id(view.id, part.number)}')"
    return answer


def add_enclosure(mailbox: Mailbox, message: StoredMessage, enclosure: Enclosure) -> Part:
    """Give a message another attachment and return what it became; raises GraphFault 413."""
    if message.size + len(enclosure.data) > mailbox.largest_message:
        raise too_large()
    draft = apart(mailbox, message)
    rewrite(mailbox, message, replace(draft, enclosures=(*draft.enclosures, enclosure)))
    return max(mailbox.contents.envelope(message).attachments, key=lambda part: part.number)


async def _delete(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    async with writing(call, mailbox) as message:
        gone = _find(call, View(call, mailbox, message)).number
        draft = apart(mailbox, message)
        kept = tuple(one for one in draft.enclosures if one.number != gone)
        rewrite(mailbox, message, replace(draft, enclosures=kept))
    return web.Response(status=204)


def _view(call: Call) -> View:
    mailbox = call.mailbox()
    return View(call, mailbox, call.message(mailbox))


def _wish(call: Call) -> Wish:
    return read_wish(call.options.get("select", ""), call.options.get("expand", ""))


def _filtered(call: Call, view: View) -> list[Part]:
    parts = list(view.envelope.attachments)
    if "filter" in call.options:
        wanted = read_filter(call.options["filter"], _FILTERABLE)
        parts = [part for part in parts if wanted.passes(attachment_json(view, part, _FILTER_WISH).get)]
    return parts


_FILTER_WISH = Wish(tuple(_FILTERABLE))


def _find(call: Call, view: View) -> Part:
    """Find the attachment addressed: its id is built on either id of its message."""
    wanted = call.path.keys["attachments"]
    bases = (view.mailbox.immutable_id(view.message), view.mailbox.default_id(view.message))
    for part in view.envelope.attachments:
        if wanted in [attachment_id(base, part.number) for base in bases]:
            return part
    raise UnknownAttachment("The specified object was not found in the store.")


def _entity(call: Call, view: View, part: Part, wish: Wish, *, status: int = 200) -> web.Response:
    body = {"@odata.context": f"{_context(call)}/attachments/$entity", **attachment_json(view, part, wish)}
    return call.answer(body, status=status)


def _place(call: Call) -> str:
    return f"{call.user}/messages('{call.path.keys['messages']}')"


def _context(call: Call) -> str:
    return f"{call.base}/$metadata#{_place(call)}"


OPERATIONS: Operations = {
    (method, f"{parent}messages/*/attachments{tail}"): Operation(handle, needs)
    for parent in ("users/*/", "users/*/mailfolders/*/")
    for method, tail, handle, needs in (
        ("GET", "", _list, READ),
        ("POST", "", _add, WRITE),
        ("GET", "/$count", _count, READ),
        ("GET", "/*", _get, READ),
        ("DELETE", "/*", _delete, WRITE),
        ("GET", "/*/$value", _value, READ),
    )
}
