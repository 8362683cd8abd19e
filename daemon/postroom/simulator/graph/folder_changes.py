"""Mail folders: create, rename, move, copy, delete (mailfolder-update.md and its neighbours)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from postroom.simulator.graph.call import WRITE, Call, Operation, Operations
from postroom.simulator.graph.faults import bad_request
from postroom.simulator.graph.folder_json import SEARCH_TYPE, folder_answer
from postroom.simulator.graph.folders import addressed, folder_by_any_name
from postroom.simulator.graph.message_filter import message_filter
from postroom.simulator.state import Folder, Mailbox, Search, WrongPlace
from postroom.simulator.state.filing import copy_folder, delete_folder, move_folder, purge_folder, rename_folder

_LONGEST_NAME = 255
_MOST_SOURCES = 100


async def _create(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    mailbox.folders.check_provisioned()
    body = _known_names(await call.json())
    parent = call.folder(mailbox)
    name, hidden = _name(body), body.get("isHidden", False)
    if not isinstance(hidden, bool):
        raise bad_request("isHidden must be true or false.", "ErrorInvalidArgument")
    search = _search(mailbox, body)
    folder = mailbox.create_folder(name, parent, hidden=hidden)
    folder.search = search
    return folder_answer(call, folder, status=201)


async def _update(call: Call) -> web.StreamResponse:
    """Rename a folder, and change what a search folder shows; isHidden can be set only when a folder is created."""
    mailbox = call.mailbox()
    folder = addressed(call, mailbox)
    body = _known_names(await call.json())
    search = _search(mailbox, body, folder.search)
    if "displayName" in body:
        rename_folder(mailbox, folder, _name(body))
    folder.search = search
    return folder_answer(call, folder)


async def _delete(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    delete_folder(mailbox, addressed(call, mailbox))
    return web.Response(status=204)


async def _purge(call: Call) -> web.StreamResponse:
    mailbox = call.mailbox()
    purge_folder(mailbox, addressed(call, mailbox))
    return web.Response(status=204)


async def _move(call: Call) -> web.StreamResponse:
    mailbox, folder, parent = await _both(call)
    move_folder(mailbox, folder, parent)
    return folder_answer(call, folder, status=201)


async def _copy(call: Call) -> web.StreamResponse:
    mailbox, folder, parent = await _both(call)
    if parent in folder.walk():
        raise WrongPlace("A folder cannot be copied into itself or into a folder below it.")
    return folder_answer(call, copy_folder(mailbox, folder, parent), status=201)


async def _both(call: Call) -> tuple[Mailbox, Folder, Folder]:
    """Find the folder addressed and the one it goes to."""
    mailbox = call.mailbox()
    folder = addressed(call, mailbox)
    body = await call.json()
    return mailbox, folder, folder_by_any_name(mailbox, body.get("destinationId", body.get("DestinationId")))


def _known_names(body: dict[str, Any]) -> dict[str, Any]:
    """Let names begin with either initial, as SDKs of another style write them."""
    return {name if name.startswith("@") else name[:1].lower() + name[1:]: value for name, value in body.items()}


def _name(body: dict[str, Any]) -> str:
    """Read the name of a folder; names that cannot be are refused."""
    name = body.get("displayName")
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
        raise bad_request("The displayName of a folder must be 1 to 255 characters.", "ErrorInvalidArgument")
    return name


def _search(mailbox: Mailbox, body: dict[str, Any], present: Search | None = None) -> Search | None:
    """Read what a search folder is to show (resources/mailsearchfolder.md); None for an ordinary folder."""
    if present is None and str(body.get("@odata.type")).removeprefix("#") != SEARCH_TYPE.removeprefix("#"):
        return None
    query = body.get("filterQuery", present.query if present else None)
    nested = body.get("includeNestedFolders", present.nested if present else False)
    if not isinstance(query, str) or not isinstance(nested, bool):
        raise bad_request("A search folder needs a filterQuery and includeNestedFolders.", "ErrorInvalidArgument")
    sources = _sources(mailbox, body, present)
    return Search(sources, nested, query, message_filter(mailbox, query))


def _sources(mailbox: Mailbox, body: dict[str, Any], present: Search | None) -> tuple[Folder, ...]:
    names = body.get("sourceFolderIds")
    if names is None and present is not None:
        return present.sources
    if not isinstance(names, list) or not 0 < len(names) <= _MOST_SOURCES:
        raise bad_request("sourceFolderIds must be a list of folders.", "ErrorInvalidArgument")
    return tuple(folder_by_any_name(mailbox, name) for name in names)


OPERATIONS: Operations = {
    ("POST", "users/*/mailfolders"): Operation(_create, WRITE),
    ("POST", "users/*/mailfolders/*/childfolders"): Operation(_create, WRITE),
    ("PATCH", "users/*/mailfolders/*"): Operation(_update, WRITE),
    ("DELETE", "users/*/mailfolders/*"): Operation(_delete, WRITE),
    ("POST", "users/*/mailfolders/*/permanentdelete"): Operation(_purge, WRITE),
    ("POST", "users/*/mailfolders/*/move"): Operation(_move, WRITE),
    ("POST", "users/*/mailfolders/*/copy"): Operation(_copy, WRITE),
}
