"""Moving and copying messages between folders."""

from __future__ import annotations

from aiohttp import web

from postroom.simulator.graph.call import WRITE, Call, Operation, Operations
from postroom.simulator.graph.folders import folder_by_any_name
from postroom.simulator.graph.message_json import View
from postroom.simulator.graph.message_names import read_body
from postroom.simulator.graph.messages import written
from postroom.simulator.graph.writing import writing


async def _move(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    async with writing(call, mailbox) as message:
        body = await read_body(call)
        mailbox.move(message, folder_by_any_name(mailbox, body.get("destinationId")))
        answer = written(View(call, mailbox, message), status=201)
        if call.state.nuisance.strike("move_race", mailbox.address):
            mailbox.move(message, message.folder)
    return answer


async def _copy(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    message = call.message(mailbox)
    body = await read_body(call)
    twin = mailbox.copy(message, folder_by_any_name(mailbox, body.get("destinationId")))
    return written(View(call, mailbox, twin), status=201)


OPERATIONS: Operations = {
    ("POST", f"{parent}messages/*/{name}"): Operation(handle, WRITE)
    for parent in ("users/*/", "users/*/mailfolders/*/")
    for name, handle in (("move", _move), ("copy", _copy))
}
