"""The deliveries of a page. Those for which there is room, and nobody who waits, are claimed with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select

from postroom.journal.claim import is_waiting
from postroom.journal.codec import clean, micros
from postroom.journal.statement import Prepared, PreparedIn, Values
from postroom.journal.tables import deliveries
from postroom.model import Delivery, Message
from postroom.ports import MatchedRule

_HAD: Final = PreparedIn(
    lambda items: select(deliveries.c.message_id, deliveries.c.handler).where(deliveries.c.message_id.in_(items))
)
_DELIVERY: Final = (
    "message_id",
    "mailbox_id",
    "handler",
    "rule",
    "state",
    "due_at",
    "attempt",
    "started_at",
    "settled_at",
    "error",
)
_ADD: Final = Prepared(insert(deliveries).values({name: bindparam(name) for name in _DELIVERY}), *_DELIVERY)
_LAST: Final = Prepared(select(func.max(deliveries.c.id)))
_ADDED: Final = Prepared(
    select(deliveries.c.message_id, deliveries.c.handler, deliveries.c.id).where(deliveries.c.id > bindparam("last")),
    "last",
)


class Routed(NamedTuple):
    """A stored message with the rules that apply to it, and the handlers that already had it."""

    id: int
    message: Message
    rules: tuple[MatchedRule, ...]
    failure: str = ""
    had: frozenset[str] = frozenset()


class _Wanted(NamedTuple):
    """A delivery to be made."""

    routed: Routed
    handler: str
    rule: str
    claimed: bool


def handlers_of(connection: Connection, message_ids: Sequence[int]) -> Mapping[int, frozenset[str]]:
    """Return which handlers have a delivery of each of these messages."""
    had: dict[int, frozenset[str]] = defaultdict(frozenset)
    for message_id, handler in _HAD.rows(connection, message_ids):
        had[message_id] |= {handler}
    return had


def deliver(
    connection: Connection, mailbox: int, routed: Iterable[Routed], room: Mapping[str, int], at: datetime
) -> tuple[int, list[Delivery]]:
    """Insert the deliveries; returns how many, and those that were claimed at once."""
    now = micros(at)
    wanted = _wanted(routed, {name: count for name, count in room.items() if not is_waiting(connection, name, now)})
    if not wanted:
        return 0, []
    ((last,),) = _LAST.rows(connection)
    _ADD.many(connection, [_row(each, mailbox, now) for each in wanted])
    claimed = {(each.routed.id, each.handler): each for each in wanted if each.claimed}
    if not claimed:
        return len(wanted), []
    return len(wanted), [
        Delivery(key, message_id, each.routed.message, handler, each.rule, 1)
        for message_id, handler, key in _ADDED.rows(connection, last or 0)
        if (each := claimed.get((message_id, handler)))
    ]


def _wanted(routed: Iterable[Routed], room: dict[str, int]) -> list[_Wanted]:
    """List what is to be delivered to whom, by the first rule that names the handler, and claim while there is room."""
    wanted: list[_Wanted] = []
    for each in routed:
        met = set(each.had)
        for rule in each.rules:
            for handler in rule.handlers:
                if handler not in met:
                    met.add(handler)
                    claimed = not each.failure and room.get(handler, 0) > 0
                    if claimed:
                        room[handler] -= 1
                    wanted.append(_Wanted(each, handler, rule.name, claimed))
    return wanted


def _row(wanted: _Wanted, mailbox: int, now: int) -> Values:
    """Where the rules could not be evaluated it starts as a dead letter."""
    common = (wanted.routed.id, mailbox, wanted.handler, wanted.rule)
    if wanted.claimed:
        return (*common, "running", now, 1, now, None, "")
    if wanted.routed.failure:
        return (*common, "dead", now, 0, None, now, clean(wanted.routed.failure))
    return (*common, "ready", now, 0, None, None, "")
