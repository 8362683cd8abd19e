"""One message: read, MIME, update, delete."""

from __future__ import annotations

from aiohttp import web

from postroom.simulator.graph.call import READ, READ_BASIC, WRITE, Call, Operation, Operations
from postroom.simulator.graph.faults import GraphFault
from postroom.simulator.graph.message_json import View, expanded, message_json, selected
from postroom.simulator.graph.updates import update


async def _get(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    view = View(call, mailbox, call.message(mailbox))
    return entity(view, selected(call), expanded(call))


async def _value(call: Call) -> web.StreamResponse:
    """Answer the MIME. The real service writes it anew from what it stored; here it is what was delivered."""
    mailbox = call.mailbox()
    return call.answer_bytes(mailbox.contents.raw(call.message(mailbox)), "text/plain")


async def _update(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    body = await call.json()
    message = call.message(mailbox)
    view = View(call, mailbox, message)
    check_unchanged(view)
    update(mailbox, message, body)
    return entity(View(call, mailbox, message), (), {})


async def _delete(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    message = call.message(mailbox)
    check_unchanged(View(call, mailbox, message))
    mailbox.delete(message)
    return web.Response(status=204)


def entity(view: View, select: tuple[str, ...], expand: dict[str, str], *, status: int = 200) -> web.StreamResponse:
    """Answer one message."""
    call = view.call
    columns = f"({','.join(select)})" if select else ""
    context = f"{call.base}/$metadata#{call.user}/messages{columns}/$entity"
    return call.answer({"@odata.context": context, **message_json(view, select, expand)}, status=status)


def check_unchanged(view: View) -> None:
    """Refuse a write whose If-Match names an earlier state of the message."""
    expected = view.call.request.headers.get("If-Match", "*")
    if expected not in ("*", f'W/"{view.change_key}"', f'"{view.change_key}"'):
        raise GraphFault(
            412,
            "ErrorIrresolvableConflict",
            "The send or update operation could not be performed because the change "
            "key passed in the request does not match the current change key for the item.",
        )


OPERATIONS: Operations = {
    (method, f"{parent}messages/*{tail}"): Operation(handle, needs)
    for parent in ("users/*/", "users/*/mailfolders/*/")
    for method, tail, handle, needs in (
        ("GET", "", _get, READ_BASIC),
        ("GET", "/$value", _value, READ),
        ("PATCH", "", _update, WRITE),
        ("DELETE", "", _delete, WRITE),
    )
}
