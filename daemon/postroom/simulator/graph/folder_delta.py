"""``mailFolders/delta``: change tracking of the folders themselves (mailfolder-delta.md)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from postroom.simulator.graph.call import READ_BASIC, Call, Operation, Operations
from postroom.simulator.graph.folder_json import PROPERTIES, folder_json
from postroom.simulator.graph.options import read_select
from postroom.simulator.graph.pages import DEFAULT_PAGE
from postroom.simulator.graph.tracking import check_room, find_cursor, link, unsupported
from postroom.simulator.state import DeltaQuery, Folder, Mailbox, RemovedFolder, next_folder_page, write_token

_TYPE = "#microsoft.graph.mailFolder"
_REFUSED = ("search", "filter", "orderby", "expand", "top")


async def _delta(call: Call) -> web.StreamResponse:
    """Answer a page: the first of a chain, or the one behind a link."""
    mailbox = call.mailbox()
    mailbox.folders.check_provisioned()
    parent = call.folder(mailbox)
    check_room(mailbox)
    under = f"/mailFolders('{parent.id}')/childFolders" if parent else "/mailFolders"
    url = f"{call.base}/{call.user}{under}/delta"
    cursor = find_cursor(call, mailbox, mailbox.folders.tracked, url, lambda: _query(call, parent))
    page = next_folder_page(mailbox.folders, cursor, call.prefer.page_size or DEFAULT_PAGE)
    return call.answer(
        {
            "@odata.context": f"{call.base}/$metadata#Collection(mailFolder)",
            "value": [_entry(mailbox, entry, cursor.query.select) for entry in page.entries],
            **link("deltaLink" if page.done else "nextLink", url, write_token(mailbox, page.cursor)),
        }
    )


def _query(call: Call, parent: Folder | None) -> DeltaQuery:
    """Read the options of a new chain: there is only ``$select``."""
    refused = next((name for name in _REFUSED if name in call.options), None)
    if refused is not None:
        raise unsupported(f"The query option ${refused} is not supported on change tracking of folders.")
    select = read_select(call.options.get("select", ""), PROPERTIES, "mailFolder")
    return DeltaQuery(select=select, under=parent.number if parent else 0)


def _entry(mailbox: Mailbox, entry: Folder | RemovedFolder, select: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(entry, RemovedFolder):
        return {"@odata.type": _TYPE, "id": mailbox.ids.folder(entry.number), "@removed": {"reason": "deleted"}}
    return {"@odata.type": _TYPE, **folder_json(entry, select)}


OPERATIONS: Operations = {
    ("GET", "users/*/mailfolders/delta"): Operation(_delta, READ_BASIC),
    ("GET", "users/*/mailfolders/*/childfolders/delta"): Operation(_delta, READ_BASIC),
}
