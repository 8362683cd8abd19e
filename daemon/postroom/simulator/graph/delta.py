"""``messages/delta``: change tracking of one folder (message-delta.md)."""

from __future__ import annotations

from typing import Any, Final, Literal, cast

from aiohttp import web

from postroom.simulator.graph.call import READ_BASIC, Call, Operation, Operations
from postroom.simulator.graph.faults import bad_request
from postroom.simulator.graph.filters import read_instant
from postroom.simulator.graph.message_json import EXPANDABLE, View, expanded, message_json, selected
from postroom.simulator.graph.options import read_expand, read_number
from postroom.simulator.graph.pages import DEFAULT_PAGE
from postroom.simulator.graph.tracking import check_room, find_cursor, link, unsupported
from postroom.simulator.state import DeltaPage, DeltaQuery, Entry, Folder, Mailbox, Removed, next_page, write_token

_TYPE = "#microsoft.graph.message"
_CHANGES = ("created", "updated", "deleted")
_CHANGING: Final = frozenset({
    "id", "isRead", "isDraft", "categories", "flag", "importance", "changeKey", "lastModifiedDateTime",
    "parentFolderId", "inferenceClassification",
})  # fmt: skip
"""What may have changed in an update, and is told even by a partial one."""
_EXPANDED: Final = frozenset({"attachments"})
"""What comes back when it is asked for; extended properties were reported not to (mguessan/davmail#500)."""


async def _delta(call: Call) -> web.StreamResponse:
    """Answer a page: the first of a chain, or the one behind a link."""
    mailbox = call.mailbox()
    folder = call.folder(mailbox)
    if folder is None or folder.search is not None:
        raise bad_request("Change tracking is not supported against 'microsoft.graph.message'.")
    check_room(mailbox)
    url = f"{call.base}/{call.user}/mailFolders('{folder.id}')/messages/delta"
    cursor = find_cursor(call, mailbox, folder, url, lambda: _query(call, mailbox))
    size, immutable = call.prefer.page_size or DEFAULT_PAGE, call.prefer.immutable
    page = next_page(mailbox, folder, cursor, size, call.state.nuisance, immutable=immutable)
    writer = _Writer(call, mailbox, folder, cursor.query, page)
    entries = (writer.entry(entry) for entry in page.entries)
    return call.answer(
        {
            "@odata.context": f"{call.base}/$metadata#Collection(message)",
            "value": [entry for entry in entries if entry is not None],
            **link("deltaLink" if page.done else "nextLink", url, write_token(mailbox, page.cursor)),
        }
    )


def _query(call: Call, mailbox: Mailbox) -> DeltaQuery:
    """Read the options of a new chain."""
    if "search" in call.options:
        raise unsupported("The query option $search is not supported on change tracking.")
    change = call.options.get("changetype", "")
    if change not in ("", *_CHANGES):
        raise bad_request(f"The changeType '{change[:50]}' is not one of created, updated and deleted.")
    if "filter" in call.options and call.state.nuisance.filter_refused:
        call.state.nuisance.record("filter_refused", mailbox.address)
        raise unsupported("only a value of 'receivedDateTime ge value' is supported.")
    since, after = _since(call.options.get("filter"))
    return DeltaQuery(
        select=selected(call),
        since=since,
        after=after,
        change=cast("Literal['', 'created', 'updated', 'deleted']", change),
        newest_first=_newest_first(call.options.get("orderby")),
        top=read_number(call.options, "top", 0) or None,
        expand=call.options.get("expand", "") if expanded(call) else "",
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
        raise unsupported("only a value of 'receivedDateTime ge value' is supported.") from None


def _newest_first(text: str | None) -> bool:
    if text is None:
        return False
    if text.lower().split() != ["receiveddatetime", "desc"]:
        raise unsupported("only an order of 'receivedDateTime desc' is supported.")
    return True


def _expansions(query: DeltaQuery) -> dict[str, str]:
    return read_expand(query.expand, EXPANDABLE, "message") if query.expand else {}


class _Writer:
    """Writes the entries of one page."""

    __slots__ = ("_call", "_expand", "_folder", "_mailbox", "_query", "_updates")

    def __init__(self, call: Call, mailbox: Mailbox, folder: Folder, query: DeltaQuery, page: DeltaPage) -> None:
        self._call = call
        self._mailbox = mailbox
        self._folder = folder
        self._query = query
        self._updates = page.updates
        self._expand = {name: options for name, options in _expansions(query).items() if name in _EXPANDED}

    def entry(self, entry: Entry) -> dict[str, Any] | None:
        """Write an entry; None for a removal that is not told."""
        if isinstance(entry, Removed):
            return self._removed(entry)
        body = message_json(View(self._call, self._mailbox, entry), self._query.select, self._expand)
        nuisance = self._call.state.nuisance
        if entry.item in self._updates and not entry.is_draft and nuisance.strike("partial", self._mailbox.address):
            body = {name: value for name, value in body.items() if name in _CHANGING or name in entry.overrides}
        return {"@odata.type": _TYPE, **body}

    def _removed(self, entry: Removed) -> dict[str, Any] | None:
        """Write a removal. What left and is back under the same immutable id is told by its present entry alone."""
        ids, nuisance = self._mailbox.ids, self._call.state.nuisance
        if not self._call.prefer.immutable:
            gone = ids.message(self._folder.number, entry.item, entry.entered)
        elif not nuisance.move_hole and self._is_here(entry.item):
            return None
        else:
            gone = ids.immutable(entry.item)
        return {"@odata.type": _TYPE, "id": gone, "@removed": {"reason": "deleted"}}

    def _is_here(self, item: int) -> bool:
        message = self._mailbox.find(item)
        return message is not None and message.folder is self._folder


OPERATIONS: Operations = {
    ("GET", "users/*/mailfolders/*/messages/delta"): Operation(_delta, READ_BASIC),
    ("GET", "users/*/messages/delta"): Operation(_delta, READ_BASIC),
}
