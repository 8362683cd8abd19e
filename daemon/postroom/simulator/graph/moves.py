"""Moving and copying messages between folders."""

from __future__ import annotations

from aiohttp import web

from postroom.simulator.graph.call import WRITE, Call, Operation, Operations
from postroom.simulator.graph.folders import folder_by_any_name
from postroom.simulator.graph.message_json import View
from postroom.simulator.graph.messages import entity
from postroom.simulator.state import Folder, Mailbox


async def _move(call: Call) -> web.StreamResponse:
    mailbox, folder = await _destination(call)
    message = call.message(mailbox)
    mailbox.move(message, folder)
    return entity(View(call, mailbox, message), (), {}, status=201)


async def _copy(call: Call) -> web.StreamResponse:
    mailbox, folder = await _destination(call)
    twin = mailbox.copy(call.message(mailbox), folder)
    return entity(View(call, mailbox, twin), (), {}, status=201)


async def _destination(call: Call) -> tuple[Mailbox, Folder]:
    """Read where to; the name is accepted with either initial, as Microsoft's own samples write it."""
    mailbox = call.mailbox()
    body = await call.json()
    return mailbox, folder_by_any_name(mailbox, body.get("destinationId", body.get("DestinationId")))


OPERATIONS: Operations = {
    ("POST", f"{parent}messages/*/{name}"): Operation(handle, WRITE)
    for parent in ("users/*/", "users/*/mailfolders/*/")
    for name, handle in (("move", _move), ("copy", _copy))
}
