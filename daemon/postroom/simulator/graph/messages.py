"""One message: read, MIME, update, delete."""

from __future__ import annotations

from aiohttp import web

from postroom.simulator.graph.call import READ, READ_BASIC, WRITE, Call, Operation, Operations
from postroom.simulator.graph.message_json import View, expanded, message_json, selected
from postroom.simulator.graph.message_names import read_body
from postroom.simulator.graph.streams import WORTH_STREAMING, StreamedBody
from postroom.simulator.graph.updates import update
from postroom.simulator.graph.writing import writing


async def _get(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    view = View(call, mailbox, call.message(mailbox))
    return entity(view, selected(call), expanded(call))


async def _value(call: Call) -> web.StreamResponse:
    """Answer the MIME. The real service writes it anew from what it stored; here it is what was delivered."""
    mailbox = call.mailbox()
    message = call.message(mailbox)
    if message.size < WORTH_STREAMING:
        return call.answer_bytes(mailbox.contents.raw(message), "text/plain")
    body = StreamedBody(lambda: mailbox.contents.chunks(message), message.size, "text/plain")
    return web.Response(body=body, headers={"OData-Version": "4.0"})


async def _update(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    async with writing(call, mailbox) as message:
        update(mailbox, message, await read_body(call))
        return written(View(call, mailbox, message))


async def _delete(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    async with writing(call, mailbox) as message:
        mailbox.delete(message)
    return web.Response(status=204)


async def _delete_for_good(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    async with writing(call, mailbox) as message:
        mailbox.purge(message)
    return web.Response(status=204)


def entity(view: View, select: tuple[str, ...], expand: dict[str, str], *, status: int = 200) -> web.StreamResponse:
    """Answer one message."""
    call = view.call
    columns = f"({','.join(select)})" if select else ""
    context = f"{call.base}/$metadata#{call.user}/messages{columns}/$entity"
    answer = call.answer({"@odata.context": context, **message_json(view, select, expand)}, status=status)
    answer.headers["ETag"] = f'W/"{view.change_key}"'
    if status == web.HTTPCreated.status_code:
        answer.headers["Location"] = location(view)
    return answer


def written(view: View, *, status: int = 200) -> web.StreamResponse:
    """Answer a message that was just written, or nothing when the client prefers the minimum (best-practices)."""
    if not view.call.prefer.minimal:
        return entity(view, (), {}, status=status)
    where = location(view)
    return view.call.confirmed(web.Response(status=204, headers={"OData-EntityId": where, "Location": where}))


def location(view: View) -> str:
    """Return the URL of a message."""
    return f"{view.call.base}/{view.call.user}/messages('{view.id}')"


OPERATIONS: Operations = {
    (method, f"{parent}messages/*{tail}"): Operation(handle, needs)
    for parent in ("users/*/", "users/*/mailfolders/*/")
    for method, tail, handle, needs in (
        ("GET", "", _get, READ_BASIC),
        ("GET", "/$value", _value, READ),
        ("PATCH", "", _update, WRITE),
        ("DELETE", "", _delete, WRITE),
        ("POST", "/permanentdelete", _delete_for_good, WRITE),
    )
}
