"""Lists of messages, of one folder or of the mailbox, in pages; and how many there are."""

from __future__ import annotations

from aiohttp import web

from postroom.simulator.graph.call import READ_BASIC, Call, Operation, Operations
from postroom.simulator.graph.faults import bad_request
from postroom.simulator.graph.message_json import View, expanded, message_json, selected
from postroom.simulator.graph.message_query import find
from postroom.simulator.graph.pages import collection_json


async def _list(call: Call) -> web.StreamResponse:
    """Answer a page. Pages of a search go by token: the option to skip cannot be had with it."""
    mailbox = call.mailbox()
    folder = call.folder(mailbox)
    select, expand = selected(call), expanded(call)
    if "search" in call.options and "skip" in call.options:
        raise bad_request("The query parameter '$skip' is not supported with '$search'.")
    found = find(call, mailbox, folder)
    place = f"/mailFolders('{folder.id}')" if folder else ""
    columns = f"({','.join(select)})" if select else ""
    context = f"{call.user}{place}/messages{columns}"
    body = collection_json(
        call,
        context,
        found,
        lambda one: message_json(View(call, mailbox, one), select, expand),
        cursor="skiptoken" if "search" in call.options else "skip",
    )
    return call.answer(body)


async def _count(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    found = find(call, mailbox, call.folder(mailbox))
    return call.answer_bytes(str(len(found)).encode(), "text/plain")


OPERATIONS: Operations = {
    ("GET", f"{parent}messages{tail}"): Operation(handle, READ_BASIC)
    for parent in ("users/*/", "users/*/mailfolders/*/")
    for tail, handle in (("", _list), ("/$count", _count))
}
