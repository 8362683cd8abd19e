"""Lists of messages, of one folder or of the mailbox: filtered, ordered, in pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from postroom.simulator.graph.call import READ_BASIC, Call, Operation, Operations, not_supported
from postroom.simulator.graph.faults import GraphFault
from postroom.simulator.graph.filters import Filter, read_filter
from postroom.simulator.graph.message_json import View, expanded, message_json, selected
from postroom.simulator.graph.options import Order, read_orderby
from postroom.simulator.graph.pages import collection_json
from postroom.simulator.state import Envelope, Mailbox, StoredMessage

_FROM_STATE: dict[str, Callable[[StoredMessage], Any]] = {
    "receivedDateTime": lambda message: message.received,
    "createdDateTime": lambda message: message.created,
    "lastModifiedDateTime": lambda message: message.modified,
    "isRead": lambda message: message.is_read,
    "isDraft": lambda message: message.is_draft,
    "hasAttachments": lambda message: message.has_attachments,
    "importance": lambda message: message.importance,
    "parentFolderId": lambda message: message.folder.id,
}
_FROM_DISK: dict[str, Callable[[Envelope], Any]] = {
    "internetMessageId": lambda envelope: envelope.message_id,
    "subject": lambda envelope: envelope.subject,
    "sentDateTime": lambda envelope: envelope.sent,
    "from/emailAddress/address": lambda envelope: envelope.sent_from and envelope.sent_from.address,
    "sender/emailAddress/address": lambda envelope: envelope.sender and envelope.sender.address,
}
_FILTERABLE = frozenset({*_FROM_STATE, *_FROM_DISK})
_SORTABLE = frozenset(
    {"receivedDateTime", "createdDateTime", "lastModifiedDateTime", "sentDateTime", "subject", "isRead"}
)
_NEWEST_FIRST = (Order("receivedDateTime", descending=True),)


async def _list(call: Call) -> web.StreamResponse:
    """Answer a page; without an order, newest first."""
    if "search" in call.options:
        raise not_supported("$search")
    mailbox = call.mailbox()
    folder = call.folder(mailbox)
    select, expand = selected(call), expanded(call)
    wanted = read_filter(call.options["filter"], _FILTERABLE) if "filter" in call.options else None
    order = read_orderby(call.options["orderby"], _SORTABLE) if "orderby" in call.options else _NEWEST_FIRST
    if wanted and "orderby" in call.options:
        _check_efficient(wanted, order)
    found = _ordered(mailbox, _filtered(mailbox, mailbox.by_time(folder), wanted), order)
    place = f"/mailFolders('{folder.id}')" if folder else ""
    columns = f"({','.join(select)})" if select else ""
    context = f"{call.user}{place}/messages{columns}"
    body = collection_json(call, context, found, lambda one: message_json(View(call, mailbox, one), select, expand))
    return call.answer(body)


def _value(mailbox: Mailbox, message: StoredMessage, name: str) -> Any:
    from_state = _FROM_STATE.get(name)
    return from_state(message) if from_state else _FROM_DISK[name](mailbox.contents.envelope(message))


def _filtered(mailbox: Mailbox, messages: Sequence[StoredMessage], wanted: Filter | None) -> Sequence[StoredMessage]:
    if wanted is None:
        return messages
    return [one for one in messages if wanted.passes(partial(_value, mailbox, one))]


def _ordered(mailbox: Mailbox, messages: Sequence[StoredMessage], order: tuple[Order, ...]) -> Sequence[StoredMessage]:
    """Sort messages, which come oldest first."""
    if [term.name for term in order] == ["receivedDateTime"]:
        return messages[::-1] if order[0].descending else messages
    found = list(messages)
    for term in reversed(order):
        found.sort(key=partial(_sort_key, mailbox, term.name), reverse=term.descending)
    return found


def _sort_key(mailbox: Mailbox, name: str, message: StoredMessage) -> Any:
    """Return what to sort by; a missing time sorts first."""
    value = _value(mailbox, message, name)
    return 0 if value is None else value


def _check_efficient(wanted: Filter, order: tuple[Order, ...]) -> None:
    """Refuse an order whose properties do not come first in the filter (user-list-messages)."""
    named = list(dict.fromkeys(wanted.properties))
    if named[: len(order)] != [term.name for term in order]:
        raise GraphFault(400, "InefficientFilter", "The restriction or sort order is too complex for this operation.")


OPERATIONS: Operations = {
    ("GET", "users/*/messages"): Operation(_list, READ_BASIC),
    ("GET", "users/*/mailfolders/*/messages"): Operation(_list, READ_BASIC),
}
