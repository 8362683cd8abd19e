"""Mail folders: list, count, one, children."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from postroom.simulator.graph.call import READ_BASIC, Call, Operation, Operations
from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.filters import read_filter
from postroom.simulator.graph.folder_json import FOLDER, folder_answer, folder_json, wanted
from postroom.simulator.graph.options import read_flag, read_orderby
from postroom.simulator.graph.pages import collection_json
from postroom.simulator.state import Folder, Mailbox

_FILTERABLE = frozenset({"displayName", "unreadItemCount", "totalItemCount", "childFolderCount", "isHidden"})


async def _list(call: Call) -> web.StreamResponse:
    """Answer the folders under the root, or under the folder addressed."""
    found = _found(call)
    select, expand = wanted(call)
    return call.answer(
        collection_json(call, f"{call.user}/mailFolders", found, lambda one: folder_json(one, select, expand))
    )


async def _count(call: Call) -> web.StreamResponse:
    return call.answer_bytes(str(len(_found(call))).encode(), "text/plain")


async def _get(call: Call) -> web.StreamResponse:
    return folder_answer(call, addressed(call, call.mailbox()))


def addressed(call: Call, mailbox: Mailbox) -> Folder:
    """Find the folder that the path names."""
    return mailbox.folder(call.path.keys["mailfolders"])


def _found(call: Call) -> list[Folder]:
    """Return the folders asked for, filtered and in order."""
    if "search" in call.options:
        raise GraphFault(400, "ErrorInvalidUrlQuery", "The query option $search is not supported on mail folders.")
    mailbox = call.mailbox()
    mailbox.folders.check_provisioned()
    parent = call.folder(mailbox) or mailbox.root
    hidden = read_flag(call.options, "includehiddenfolders")
    return _arranged(call, [child for child in parent.children if hidden or not child.hidden])


def _arranged(call: Call, found: list[Folder]) -> list[Folder]:
    """Apply ``$filter`` and ``$orderby``."""
    if "filter" in call.options:
        condition = read_filter(call.options["filter"], _FILTERABLE)
        found = [one for one in found if condition.passes(partial(_property, one))]
    for term in reversed(read_orderby(call.options["orderby"], _FILTERABLE) if "orderby" in call.options else ()):
        found = sorted(found, key=FOLDER[term.name], reverse=term.descending)
    return found


def _property(folder: Folder, name: str) -> Any:
    return FOLDER[name](folder)


def folder_by_any_name(mailbox: Mailbox, name: object) -> Folder:
    """Find a move's or copy's destination, given by id or well-known name."""
    if not isinstance(name, str) or not name:
        raise bad_request("The destinationId must be a folder id or a well-known folder name.", "ErrorInvalidArgument")
    found = mailbox.folder(name)
    if found.search is not None:
        raise bad_request("A search folder cannot take anything in.", "ErrorInvalidOperation")
    return found


OPERATIONS: Operations = {
    ("GET", "users/*/mailfolders"): Operation(_list, READ_BASIC),
    ("GET", "users/*/mailfolders/$count"): Operation(_count, READ_BASIC),
    ("GET", "users/*/mailfolders/*"): Operation(_get, READ_BASIC),
    ("GET", "users/*/mailfolders/*/childfolders"): Operation(_list, READ_BASIC),
    ("GET", "users/*/mailfolders/*/childfolders/$count"): Operation(_count, READ_BASIC),
}
