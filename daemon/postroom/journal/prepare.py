"""The messages of a page as they are going to be stored.

They are prepared before the database's thread is asked, and as soon as they are there: who made them has them at hand,
while later, or in the other thread, every part of them has to be fetched from memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from postroom.journal.codec import LONGEST_LABEL, clean, encode_message, encode_rules, micros
from postroom.journal.statement import Values
from postroom.model import Message
from postroom.ports import MatchedRule, NewMessage


class PreparedMessage(NamedTuple):
    """A message of a page.

    Attributes:
        message: As it will be read again.
        row: Its columns from `graph_id` on.
    """

    message: Message
    rules: tuple[MatchedRule, ...]
    dispatch: bool
    failure: str
    row: Values

    @property
    def internet_message_id(self) -> str:
        """As it is shown in lists."""
        return str(self.row[1])

    @property
    def received_at(self) -> int:
        """In microseconds."""
        return int(self.row[2])

    @property
    def subject(self) -> str:
        """As it is shown in lists."""
        return str(self.row[5])

    @property
    def sender(self) -> str:
        """The address, as it is shown in lists."""
        return str(self.row[6])

    @property
    def snapshot(self) -> bytes | None:
        """The message as JSON; None when it is only remembered."""
        snapshot: bytes | None = self.row[-1]
        return snapshot


def prepare(messages: Sequence[NewMessage], at: datetime) -> dict[str, PreparedMessage]:
    """Return Graph's id -> the prepared message; of an id that comes twice the last one counts."""
    distinct = {id(new.rules): new.rules for new in messages}  # most messages of a page share theirs
    texts = {key: encode_rules(handlers_named(rules)) for key, rules in distinct.items()}
    seen = micros(at)
    room = bytearray()
    return {new.message.id: _prepare(new, seen, texts[id(new.rules)], room) for new in messages}


def together(pages: Iterable[Mapping[str, PreparedMessage]]) -> dict[str, PreparedMessage]:
    """Return what several pages brought; of an id that comes twice the last one counts."""
    prepared: dict[str, PreparedMessage] = {}
    for page in pages:
        prepared.update(page)
    return prepared


def _prepare(new: NewMessage, seen: int, rules: str, room: bytearray) -> PreparedMessage:
    message, matched, dispatch, failure = new
    snapshot, label = None, _cleaned
    if dispatch:
        snapshot, message = encode_message(message, room)
        label = _encodable
    row = (
        new.message.id,
        label(message.internet_message_id),
        micros(message.received_at),
        seen,
        dispatch,
        label(message.subject),
        label(message.sender.address),
        rules if dispatch else None,
        snapshot,
    )
    return PreparedMessage(message, matched, dispatch, failure, row)


def _cleaned(text: str) -> str:
    return clean(text, LONGEST_LABEL)


def _encodable(text: str) -> str:
    """Return a label of a message that was encoded, and so has no lone surrogates."""
    return clean(text, LONGEST_LABEL) if len(text) > LONGEST_LABEL or "\0" in text else text


def handlers_named(rules: Iterable[MatchedRule]) -> dict[str, tuple[str, ...]]:
    """Return rule name -> the handlers it names."""
    return {rule.name: rule.handlers for rule in rules}
