"""Filters that stand for themselves: of subscriptions and of search folders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from postroom.simulator.graph.filters import read_filter
from postroom.simulator.state import Mailbox, StoredMessage

_FROM_STATE: dict[str, Callable[[StoredMessage], Any]] = {
    "receivedDateTime": lambda message: message.received,
    "createdDateTime": lambda message: message.created,
    "isRead": lambda message: message.is_read,
    "isDraft": lambda message: message.is_draft,
    "hasAttachments": lambda message: message.has_attachments,
    "importance": lambda message: message.importance,
}
_FROM_DISK: dict[str, Callable[[Any], Any]] = {
    "internetMessageId": lambda envelope: envelope.message_id,
    "subject": lambda envelope: envelope.subject,
    "from/emailAddress/address": lambda envelope: envelope.sent_from and envelope.sent_from.address,
    "sender/emailAddress/address": lambda envelope: envelope.sender and envelope.sender.address,
}
_FILTERABLE = frozenset({*_FROM_STATE, *_FROM_DISK})


def message_filter(mailbox: Mailbox, text: str) -> Callable[[StoredMessage], bool]:
    """Return what tells whether a message passes a filter; raises GraphFault 400 for one that cannot be read."""
    wanted = read_filter(text, _FILTERABLE)
    return lambda message: wanted.passes(partial(_value, mailbox, message))


def _value(mailbox: Mailbox, message: StoredMessage, name: str) -> Any:
    from_state = _FROM_STATE.get(name)
    return from_state(message) if from_state else _FROM_DISK[name](mailbox.contents.envelope(message))
