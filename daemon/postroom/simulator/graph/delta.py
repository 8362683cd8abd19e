"""``messages/delta``: change tracking of one folder (message-delta.md)."""

from __future__ import annotations

from typing import Any, Literal, cast

from aiohttp import web

from postroom.simulator.graph.call import READ_BASIC, Call, Operation, Operations
from postroom.simulator.graph.faults import GraphFault, as_fault, bad_request
from postroom.simulator.graph.filters import read_instant
from postroom.simulator.graph.message_json import View, instant, message_json, selected
from postroom.simulator.graph.options import read_number
from postroom.simulator.graph.pages import DEFAULT_PAGE
from postroom.simulator.state import (
    Cursor,
    DeltaQuery,
    Entry,
    Folder,
    Mailbox,
    Removed,
    SyncReset,
    begin,
    next_page,
    read_token,
    write_token,
)

_TYPE = "#microsoft.graph.message"
_CHANGES = ("created", "updated", "deleted")


async def _delta(call: Call) -> web.StreamResponse:
    """Answer a page: the first of a chain, or the one behind a link."""
    mailbox = call.mailbox()
    folder = call.folder(mailbox)
    if folder is None:
        raise bad_request("Change tracking is not supported against 'microsoft.graph.message'.")
    cursor = _cursor(call, mailbox, folder)
    page = next_page(mailbox, folder, cursor, call.prefer.page_size or DEFAULT_PAGE)
    select = cursor.query.select
    entries = (_entry(call, mailbox, folder, entry, select) for entry in page.entries)
    kind, token = ("deltaLink", "$deltatoken") if page.done else ("nextLink", "$skiptoken")
    return call.answer(
        {
            "@odata.context": f"{call.base}/$metadata#Collection(message)",
            "value": [entry for entry in entries if entry is not None],
            f"@odata.{kind}": f"{_url(call, folder)}?{token}={write_token(mailbox, page.cursor)}",
        }
    )


def _cursor(call: Call, mailbox: Mailbox, folder: Folder) -> Cursor:
    """Return where the page begins. A link's own options count, others on the same request do not."""
    token = call.options.get("skiptoken") or call.options.get("deltatoken", "")
    if not token or token.lower() == "latest":
        return begin(mailbox, folder, _query(call))
    try:
        return read_token(mailbox, folder, token)
    except SyncReset as reset:
        raise _restart(call, folder, reset) from reset


def _restart(call: Call, folder: Folder, reset: SyncReset) -> GraphFault:
    """Make the 410 that says where to begin again: the chain's URL with an empty token (LEARN delta-query-overview)."""
    options = _options(cast("DeltaQuery", reset.restart))
    written = "".join(f"&{name}={value}" for name, value in options.items() if value)
    fault = as_fault(reset)
    fault.headers["Location"] = f"{_url(call, folder)}?$deltatoken={written}"
    return fault


def _options(query: DeltaQuery) -> dict[str, str]:
    """Write a chain's options as `_query` reads them."""
    comparison = "gt" if query.after else "ge"
    return {
        "$select": ",".join(query.select),
        "$filter": "" if query.since is None else f"receivedDateTime%20{comparison}%20{instant(query.since)}",
        "$orderby": "receivedDateTime%20desc" if query.newest_first else "",
        "$top": str(query.top or ""),
        "changeType": query.change,
    }


def _query(call: Call) -> DeltaQuery:
    """Read the options of a new chain."""
    if "search" in call.options:
        raise _invalid("The query option $search is not supported on change tracking.")
    change = call.options.get("changetype", "")
    if change not in ("", *_CHANGES):
        raise bad_request(f"The changeType '{change[:50]}' is not one of created, updated and deleted.")
    since, after = _since(call.options.get("filter"))
    return DeltaQuery(
        select=selected(call),
        since=since,
        after=after,
        change=cast("Literal['', 'created', 'updated', 'deleted']", change),
        newest_first=_newest_first(call.options.get("orderby")),
        top=read_number(call.options, "top", 0) or None,
    )


def _since(text: str | None) -> tuple[int | None, bool]:
    """Read the one filter there is: receivedDateTime ge or gt a time."""
    if text is None:
        return None, False
    words = text.split()
    try:
        name, comparison, value = words
        if name.lower() != "receiveddatetime" or comparison.lower() not in ("ge", "gt"):
            raise ValueError(name)  # noqa: TRY301 - the same answer as for a broken time
        return read_instant(value), comparison.lower() == "gt"
    except (ValueError, OverflowError):
        raise _invalid("only a value of 'receivedDateTime ge value' is supported.") from None


def _newest_first(text: str | None) -> bool:
    if text is None:
        return False
    if text.lower().split() != ["receiveddatetime", "desc"]:
        raise _invalid("only an order of 'receivedDateTime desc' is supported.")
    return True


def _invalid(why: str) -> GraphFault:
    return bad_request(
        f"The following parameters are not supported with change tracking: {why}", "ErrorInvalidUrlQuery"
    )


def _entry(
    call: Call, mailbox: Mailbox, folder: Folder, entry: Entry, select: tuple[str, ...]
) -> dict[str, Any] | None:
    """Write an entry. What left and is back under the same immutable id is told by its present entry alone."""
    if not isinstance(entry, Removed):
        return {"@odata.type": _TYPE, **message_json(View(call, mailbox, entry), select)}
    if not call.prefer.immutable:
        removed = mailbox.ids.message(folder.number, entry.item, entry.entered)
    elif (message := mailbox.find(entry.item)) is not None and message.folder is folder:
        return None
    else:
        removed = mailbox.ids.immutable(entry.item)
    return {"@odata.type": _TYPE, "id": removed, "@removed": {"reason": "deleted"}}


def _url(call: Call, folder: Folder) -> str:
    return f"{call.base}/{call.user}/mailFolders('{folder.id}')/messages/delta"


OPERATIONS: Operations = {
    ("GET", "users/*/mailfolders/*/messages/delta"): Operation(_delta, READ_BASIC),
    ("GET", "users/*/messages/delta"): Operation(_delta, READ_BASIC),
}
