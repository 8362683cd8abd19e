"""Writes mail folders, and reads which properties of them are wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from postroom.simulator.graph.call import Call
from postroom.simulator.graph.options import read_expand, read_select
from postroom.simulator.state import Folder

SEARCH_TYPE = "#microsoft.graph.mailSearchFolder"


def _unread(folder: Folder) -> int:
    if folder.search is None:
        return folder.unread
    return sum(not message.is_read for message in folder.search.messages())


def _total(folder: Folder) -> int:
    return len(folder.messages if folder.search is None else folder.search.messages())


FOLDER: dict[str, Callable[[Folder], Any]] = {
    "displayName": lambda folder: folder.display_name,
    "parentFolderId": lambda folder: (folder.parent or folder).id,
    "childFolderCount": lambda folder: sum(not child.hidden for child in folder.children),
    "unreadItemCount": _unread,
    "totalItemCount": _total,
    "sizeInBytes": lambda folder: folder.size,
    "isHidden": lambda folder: folder.hidden,
}
_SEARCH: dict[str, Callable[[Folder], Any]] = {
    "isSupported": lambda _: True,
    "includeNestedFolders": lambda folder: folder.search is not None and folder.search.nested,
    "sourceFolderIds": lambda folder: [source.id for source in folder.search.sources] if folder.search else [],
    "filterQuery": lambda folder: folder.search.query if folder.search else None,
}
_OF_SEARCH_FOLDERS = {**{name: write for name, write in FOLDER.items() if name != "sizeInBytes"}, **_SEARCH}
PROPERTIES = frozenset({"id", *FOLDER, *_SEARCH})
EXPANDABLE = frozenset({"childFolders", "singleValueExtendedProperties", "multiValueExtendedProperties"})


def wanted(call: Call) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the properties and the expansions that a call asks for; raises GraphFault 400."""
    select = read_select(call.options.get("select", ""), PROPERTIES | EXPANDABLE, "mailFolder")
    text = call.options.get("expand", "")
    return select, read_expand(text, EXPANDABLE, "mailFolder") if text else {}


def folder_json(folder: Folder, select: tuple[str, ...], expand: dict[str, str] | None = None) -> dict[str, Any]:
    """Write a folder with the properties selected, all when none are."""
    known = _OF_SEARCH_FOLDERS if folder.search is not None else FOLDER
    body: dict[str, Any] = {"@odata.type": SEARCH_TYPE} if folder.search is not None else {}
    body["id"] = folder.id
    body |= {name: known[name](folder) for name in select or known if name in known}
    if "childFolders" in (expand or {}):
        body["childFolders"] = [folder_json(child, ()) for child in folder.children if not child.hidden]
    return body


def folder_answer(call: Call, folder: Folder, *, status: int = 200) -> web.Response:
    """Answer one folder."""
    select, expand = wanted(call)
    context = f"{call.base}/$metadata#{call.user}/mailFolders/$entity"
    return call.answer({"@odata.context": context, **folder_json(folder, select, expand)}, status=status)
