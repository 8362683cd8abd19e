"""Attachments of a message: list, one, and raw content."""

from __future__ import annotations

from aiohttp import web

from postroom.simulator.graph.attachment_json import BASE_PROPERTIES, attachment_json
from postroom.simulator.graph.call import READ, Call, Operation, Operations
from postroom.simulator.graph.faults import GraphFault
from postroom.simulator.graph.message_json import View
from postroom.simulator.graph.options import read_select
from postroom.simulator.state import Part, UnknownAttachment
from postroom.simulator.state.ids import attachment_id


async def _list(call: Call) -> web.StreamResponse:
    view = _view(call)
    select = read_select(call.options.get("select", ""), BASE_PROPERTIES, "attachment")
    written = [
        attachment_json(view, index, part, content=not select) for index, part in enumerate(view.envelope.attachments)
    ]
    kept = [
        {name: one[name] for name in one if not select or name in (*select, "id", "@odata.type")} for one in written
    ]
    return call.answer({"@odata.context": f"{_context(call)}/attachments", "value": kept})


async def _get(call: Call) -> web.StreamResponse:
    view = _view(call)
    index, part = _find(call, view)
    body = attachment_json(view, index, part, content=True)
    return call.answer({"@odata.context": f"{_context(call)}/attachments/$entity", **body})


async def _value(call: Call) -> web.StreamResponse:
    """Answer the bytes of a file, or the MIME of an enclosed mail; a link has no content (GD21 attachment-get.md)."""
    view = _view(call)
    _, part = _find(call, view)
    if part.kind == "reference":
        raise GraphFault(405, "ErrorInvalidOperation", "A reference attachment has no raw content.")
    content_type = "text/plain" if part.kind == "item" else part.content_type
    return call.answer_bytes(view.mailbox.contents.part(view.message, part), content_type)


def _view(call: Call) -> View:
    mailbox = call.mailbox()
    return View(call, mailbox, call.message(mailbox))


def _find(call: Call, view: View) -> tuple[int, Part]:
    """Find the attachment addressed: its id is built on either id of its message."""
    wanted = call.path.keys["attachments"]
    bases = (view.mailbox.immutable_id(view.message), view.mailbox.default_id(view.message))
    for index, part in enumerate(view.envelope.attachments):
        if wanted in [attachment_id(base, index) for base in bases]:
            return index, part
    raise UnknownAttachment("The specified object was not found in the store.")


def _context(call: Call) -> str:
    return f"{call.base}/$metadata#{call.user}/messages('{call.path.keys['messages']}')"


OPERATIONS: Operations = {
    ("GET", f"{parent}messages/*/attachments{tail}"): Operation(handle, READ)
    for parent in ("users/*/", "users/*/mailfolders/*/")
    for tail, handle in (("", _list), ("/*", _get), ("/*/$value", _value))
}
