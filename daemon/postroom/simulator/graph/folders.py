"""Mail folders: list, one, children, create."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web

from postroom.simulator.graph.call import READ_BASIC, WRITE, Call, Operation, Operations
from postroom.simulator.graph.faults import bad_request
from postroom.simulator.graph.filters import read_filter
from postroom.simulator.graph.options import read_flag, read_orderby, read_select
from postroom.simulator.graph.pages import collection_json
from postroom.simulator.state import Folder, Mailbox

_PROPERTIES: dict[str, Callable[[Folder], Any]] = {
    "displayName": lambda folder: folder.display_name,
    "parentFolderId": lambda folder: (folder.parent or folder).id,
    "childFolderCount": lambda folder: sum(not child.hidden for child in folder.children),
    "unreadItemCount": lambda folder: folder.unread,
    "totalItemCount": lambda folder: len(folder.messages),
    "sizeInBytes": lambda folder: sum(message.size for message in folder.messages),
    "isHidden": lambda folder: folder.hidden,
}
PROPERTIES = frozenset({"id", *_PROPERTIES})
_FILTERABLE = frozenset({"displayName", "unreadItemCount", "totalItemCount", "childFolderCount", "isHidden"})
_LONGEST_NAME = 255


def folder_json(folder: Folder, select: tuple[str, ...]) -> dict[str, Any]:
    """Write a folder."""
    wanted = select or tuple(_PROPERTIES)
    return {"id": folder.id, **{name: _PROPERTIES[name](folder) for name in wanted if name != "id"}}


async def _list(call: Call) -> web.StreamResponse:
    """Answer the folders under the root, or under the folder addressed."""
    mailbox = call.mailbox()
    parent = call.folder(mailbox) or mailbox.root
    hidden = read_flag(call.options, "includehiddenfolders")
    found = [child for child in parent.children if hidden or not child.hidden]
    select = read_select(call.options.get("select", ""), PROPERTIES, "mailFolder")
    context = f"{call.user}/mailFolders"
    return call.answer(collection_json(call, context, _arranged(call, found), lambda one: folder_json(one, select)))


def _arranged(call: Call, found: list[Folder]) -> list[Folder]:
    """Apply ``$filter`` and ``$orderby``."""
    if "filter" in call.options:
        wanted = read_filter(call.options["filter"], _FILTERABLE)
        found = [one for one in found if wanted.passes(partial(_property, one))]
    for term in reversed(read_orderby(call.options["orderby"], _FILTERABLE) if "orderby" in call.options else ()):
        found = sorted(found, key=_PROPERTIES[term.name], reverse=term.descending)
    return found


def _property(folder: Folder, name: str) -> Any:
    return _PROPERTIES[name](folder)


async def _get(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    folder = call.folder(mailbox)
    assert folder is not None
    select = read_select(call.options.get("select", ""), PROPERTIES, "mailFolder")
    return call.answer(_entity(call, folder, select))


async def _create(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    parent = call.folder(mailbox)
    name, hidden = _wanted(await call.json())
    folder = mailbox.create_folder(name, parent, hidden=hidden)
    return call.answer(_entity(call, folder, ()), status=201)


def _wanted(body: dict[str, Any]) -> tuple[str, bool]:
    """Read the body of a creation; names that cannot be are refused."""
    name, hidden = body.get("displayName"), body.get("isHidden", False)
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME or not isinstance(hidden, bool):
        raise bad_request("The displayName of a folder must be 1 to 255 characters.", "ErrorInvalidArgument")
    return name, hidden


def _entity(call: Call, folder: Folder, select: tuple[str, ...]) -> dict[str, Any]:
    return {"@odata.context": f"{call.base}/$metadata#{call.user}/mailFolders/$entity", **folder_json(folder, select)}


def folder_by_any_name(mailbox: Mailbox, name: object) -> Folder:
    """Find a move's or copy's destination, given by id or well-known name."""
    if not isinstance(name, str) or not name:
        raise bad_request("The destinationId must be a folder id or a well-known folder name.", "ErrorInvalidArgument")
    return mailbox.folder(name)


OPERATIONS: Operations = {
    ("GET", "users/*/mailfolders"): Operation(_list, READ_BASIC),
    ("POST", "users/*/mailfolders"): Operation(_create, WRITE),
    ("GET", "users/*/mailfolders/*"): Operation(_get, READ_BASIC),
    ("GET", "users/*/mailfolders/*/childfolders"): Operation(_list, READ_BASIC),
    ("POST", "users/*/mailfolders/*/childfolders"): Operation(_create, WRITE),
}
