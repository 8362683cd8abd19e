"""The deliveries of a page. Those for which there is room, and nobody who waits, are claimed with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, insert, literal_column, select
from sqlalchemy.sql.elements import ColumnElement

from postroom.journal.claim import is_waiting
from postroom.journal.codec import clean, micros
from postroom.journal.ids import Ids
from postroom.journal.retention import settled_before
from postroom.journal.statement import Prepared, PreparedIn, Values
from postroom.journal.tables import deliveries
from postroom.model import Delivery, DeliveryState, Message
from postroom.ports import MatchedRule

_HAD: Final = PreparedIn(
    lambda items: select(deliveries.c.message_id, deliveries.c.handler, deliveries.c.state).where(
        deliveries.c.message_id.in_(items)
    )
)
_ROW: Final = ("id", "message_id", "mailbox_id", "handler", "rule", "due_at")


def _insert(more: tuple[str, ...] = (), **literals: str) -> Prepared:
    """Return an INSERT of `_ROW` and more values; what is the same for all is not handed over row by row."""
    names = (*_ROW, *more)
    values: dict[str, ColumnElement[Any]] = {name: bindparam(name) for name in names}
    values.update({name: literal_column(text) for name, text in literals.items()})
    return Prepared(insert(deliveries).values(values), *names)


_ADD_READY: Final = _insert(state="'ready'")
_ADD_RUNNING: Final = _insert(("started_at",), state="'running'", attempt="1")
_ADD_DEAD: Final = _insert(("settled_at", "error"), state="'dead'")
_IDS: Final = Ids(deliveries)


class Routed(NamedTuple):
    """A stored message with the rules that apply to it.

    Attributes:
        had: Each handler that had it before, and how that went; of one that was pruned, origins of mail actions too.
        asked: Origin -> mail actions that were asked for before, but for those that were pruned.
    """

    id: int
    message: Message
    rules: tuple[MatchedRule, ...]
    failure: str = ""
    had: Mapping[str, DeliveryState] = MappingProxyType({})
    asked: Mapping[str, str] = MappingProxyType({})


def handlers_of(connection: Connection, message_ids: Sequence[int]) -> Mapping[int, Mapping[str, DeliveryState]]:
    """Return which handlers have, or before it was pruned had, a delivery of each of these messages, and its state."""
    had: dict[int, dict[str, DeliveryState]] = defaultdict(dict)
    for message_id, settled in settled_before(connection, message_ids).items():
        had[message_id] = {name: DeliveryState(state) for name, state in settled.items()}
    for message_id, handler, state in _HAD.rows(connection, message_ids):
        had[message_id][handler] = DeliveryState(state)
    return had


def deliver(
    connection: Connection, mailbox: int, routed: Iterable[Routed], room: Mapping[str, int], at: datetime
) -> tuple[int, list[Delivery]]:
    """Insert the deliveries; returns how many, and those that were claimed at once."""
    now = micros(at)
    free = {name: count for name, count in room.items() if not is_waiting(connection, name, now)}
    wanted = list(_wanted(routed))
    ready, running, dead = list[Values](), list[Values](), list[Values]()
    claimed: list[Delivery] = []
    for key, (each, handler, rule) in zip(_IDS.take(connection, len(wanted)), wanted, strict=True):
        row = (key, each.id, mailbox, handler, rule, now)
        if each.failure:
            dead.append((*row, now, clean(each.failure)))
        elif free.get(handler, 0) > 0:
            free[handler] -= 1
            claimed.append(Delivery(key, each.id, each.message, handler, rule, 1))
            running.append((*row, now))
        else:
            ready.append(row)
    _ADD_READY.insert(connection, ready)
    _ADD_RUNNING.insert(connection, running)
    _ADD_DEAD.insert(connection, dead)
    return len(wanted), claimed


def _wanted(routed: Iterable[Routed]) -> Iterator[tuple[Routed, str, str]]:
    """Yield each message with the handlers that are to have it, each with the first rule that names it."""
    known: dict[int, list[tuple[str, str]]] = {}  # by the `id` of the rules, which most messages share
    for each in routed:
        wanted = known.get(id(each.rules))
        if wanted is None:
            wanted = known[id(each.rules)] = _first_rules(each.rules)
        for handler, rule in wanted:
            if handler not in each.had:
                yield each, handler, rule


def _first_rules(rules: Iterable[MatchedRule]) -> list[tuple[str, str]]:
    """Return each handler with the first rule that names it."""
    first: dict[str, str] = {}
    for rule in rules:
        for handler in rule.handlers:
            first.setdefault(handler, rule.name)
    return list(first.items())
