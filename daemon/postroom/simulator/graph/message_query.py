"""Finds the messages a list asks for: filtered, searched, ordered; what was found is kept for the next page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from postroom.simulator.graph.call import READ, Call
from postroom.simulator.graph.extended import SINGLE, property_id, property_value
from postroom.simulator.graph.faults import GraphFault, bad_request
from postroom.simulator.graph.filters import Fields, Filter, Value, read_filter
from postroom.simulator.graph.message_json import View, conversation_id
from postroom.simulator.graph.message_search import MOST_FOUND, read_search
from postroom.simulator.graph.options import Order, read_orderby
from postroom.simulator.state import Facts, Folder, Mailbox, MalformedId, StateError, StoredMessage
from postroom.simulator.state.ids import decode

_FROM_STATE: dict[str, Callable[[StoredMessage], Any]] = {
    "receivedDateTime": lambda message: message.received,
    "createdDateTime": lambda message: message.created,
    "lastModifiedDateTime": lambda message: message.modified,
    "isRead": lambda message: message.is_read,
    "isDraft": lambda message: message.is_draft,
    "hasAttachments": lambda message: message.has_attachments,
    "importance": lambda message: message.importance,
    "parentFolderId": lambda message: message.folder.id,
    "flag/flagStatus": lambda message: message.flag["flagStatus"],
    "inferenceClassification": lambda message: message.overrides.get("inferenceClassification", "focused"),
    "categories": lambda message: message.categories,
}
_FROM_FACTS: dict[str, Callable[[Facts], Any]] = {
    "internetMessageId": lambda facts: facts.message_id,
    "subject": lambda facts: facts.subject,
    "from/emailAddress/address": lambda facts: facts.sent_from.address,
    "from/emailAddress/name": lambda facts: facts.sent_from.name or facts.sent_from.address,
    "sender/emailAddress/address": lambda facts: facts.sender.address,
    "sender/emailAddress/name": lambda facts: facts.sender.name or facts.sender.address,
}
_TIMES = ("receivedDateTime", "createdDateTime", "lastModifiedDateTime", "sentDateTime")
_TRUTHS = ("isRead", "isDraft", "hasAttachments")
_PLAIN = frozenset({*_FROM_STATE, *_FROM_FACTS, "sentDateTime", "conversationId"}) - {"categories"}
_FIELDS = Fields(
    _PLAIN,
    {name: "time" if name in _TIMES else "truth" if name in _TRUTHS else "text" for name in _PLAIN},
    {"categories": frozenset({""}), SINGLE: frozenset({"id", "value"})},
)
_SORTABLE = _PLAIN - {"parentFolderId", "conversationId", "internetMessageId"}
_NEWEST_FIRST = (Order("receivedDateTime", descending=True),)
_EXTENDED_IDS = re.compile(r"/id\s+eq\s+'((?:[^']|'')*)'", re.IGNORECASE)


def find(call: Call, mailbox: Mailbox, folder: Folder | None) -> Sequence[StoredMessage]:
    """Return the messages a call asks for, all pages of them; without an order, newest first; raises GraphFault."""
    options = {name: call.options.get(name) for name in ("filter", "orderby", "search")}
    if options["search"] is not None:
        call.require(READ)
    question = (folder.number if folder else 0, *options.values())
    return mailbox.lookup.remembered(question, lambda: _found(call, mailbox, folder, options))


def _found(
    call: Call, mailbox: Mailbox, folder: Folder | None, options: Mapping[str, str | None]
) -> Sequence[StoredMessage]:
    search, filtering, ordering = options["search"], options["filter"], options["orderby"]
    if search is not None:
        return _searched(mailbox, folder, search, options)
    wanted = None if filtering is None else read_filter(filtering, _FIELDS)
    order = _NEWEST_FIRST if ordering is None else read_orderby(ordering, _SORTABLE)
    if wanted is None:
        return _ordered(mailbox, mailbox.by_time(folder), order)
    if ordering is not None:
        _check_efficient(wanted, order)
    ids = [one.replace("''", "'") for one in _EXTENDED_IDS.findall(filtering or "")]
    passing = [one for one in _candidates(mailbox, folder, wanted) if wanted.passes(_value(call, mailbox, one, ids))]
    return _ordered(mailbox, passing, order)


def _searched(
    mailbox: Mailbox, folder: Folder | None, text: str, options: Mapping[str, str | None]
) -> Sequence[StoredMessage]:
    """Search; neither filter nor order can be had with it (LEARN search-query-parameter)."""
    for name, shown, code in (("orderby", "$orderBy", "SearchWithOrderBy"), ("filter", "$filter", "SearchWithFilter")):
        if options[name] is not None:
            raise bad_request(f"The query parameter '{shown}' is not supported with '$search'.", code)
    passes = read_search(text, mailbox.now())
    found = [one for one in mailbox.by_time(folder) if passes(mailbox, one)]
    return sorted(found, key=partial(_sort_key, mailbox, "sentDateTime"), reverse=True)[:MOST_FOUND]


def _candidates(mailbox: Mailbox, folder: Folder | None, wanted: Filter) -> Iterable[StoredMessage]:
    """Return the messages among which all that pass are, oldest first; few where something indexed is asked for."""
    named = _indexed(wanted.equal)
    if named is not None:
        found = [one for one in mailbox.lookup.having(*named) if _visible(mailbox, folder, one)]
        return sorted(found, key=lambda one: one.order)
    if folder is None and isinstance(parent := wanted.equal.get("parentFolderId"), str):
        try:
            return mailbox.folder(parent).messages
        except StateError:
            return []
    return mailbox.by_time(folder)


def _visible(mailbox: Mailbox, folder: Folder | None, message: StoredMessage) -> bool:
    if folder is not None:
        return message.folder is folder
    return message.folder is not mailbox.folder("recoverableitemsdeletions")


def _indexed(equal: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return the index to use, and its key."""
    for name, index in (("internetMessageId", "message_id"), ("from/emailAddress/address", "sent_from")):
        if isinstance(value := equal.get(name), str):
            return index, value.casefold()
    if isinstance(value := equal.get("conversationId"), str):
        try:
            return "conversation", decode(value)[-16:]
        except MalformedId:
            return "conversation", b""
    return None


def _value(call: Call, mailbox: Mailbox, message: StoredMessage, ids: Sequence[str]) -> Value:
    """Return what gives the properties of a message by name."""

    def value(name: str) -> Any:
        if name in _FROM_STATE:
            return _FROM_STATE[name](message)
        if name == SINGLE:
            view = View(call, mailbox, message)
            return [{"id": one, "value": property_value(view, property_id(one))} for one in ids]
        return _from_facts(mailbox, message, name)

    return value


def _from_facts(mailbox: Mailbox, message: StoredMessage, name: str) -> Any:
    facts = mailbox.lookup.facts(message)
    if name == "sentDateTime":
        return message.received if facts.sent is None else facts.sent
    if name == "conversationId":
        return conversation_id(mailbox, facts.conversation)
    return _FROM_FACTS[name](facts)


def _ordered(mailbox: Mailbox, messages: Iterable[StoredMessage], order: tuple[Order, ...]) -> Sequence[StoredMessage]:
    """Sort messages, which come oldest first."""
    found = list(messages)
    if [term.name for term in order] == ["receivedDateTime"]:
        return found[::-1] if order[0].descending else found
    for term in reversed(order):
        found.sort(key=partial(_sort_key, mailbox, term.name), reverse=term.descending)
    return found


def _sort_key(mailbox: Mailbox, name: str, message: StoredMessage) -> Any:
    """Return what to sort by."""
    value = _FROM_STATE[name](message) if name in _FROM_STATE else _from_facts(mailbox, message, name)
    return value.casefold() if isinstance(value, str) else value


def _check_efficient(wanted: Filter, order: tuple[Order, ...]) -> None:
    """Refuse an order whose properties do not come first in the filter (user-list-messages)."""
    named = list(dict.fromkeys(wanted.properties))
    if named[: len(order)] != [term.name for term in order]:
        raise GraphFault(400, "InefficientFilter", "The restriction or sort order is too complex for this operation.")
