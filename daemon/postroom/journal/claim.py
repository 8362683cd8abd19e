"""Claims: which deliveries run next. Fair over mailboxes, within the room each handler has, suspects one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, false, literal_column, select, true, update

from postroom.errors import JournalError
from postroom.journal.codec import clean, decode_message, micros
from postroom.journal.fair import Rotation, fair_share
from postroom.journal.statement import Prepared, PreparedIn, Values
from postroom.journal.tables import deliveries, is_state, messages
from postroom.model import Delivery, Message

_DUE: Final = PreparedIn(
    lambda items: (
        select(deliveries.c.id, deliveries.c.handler)
        .where(
            is_state(deliveries.c.state, "ready"),
            deliveries.c.handler.in_(items),
            deliveries.c.due_at <= bindparam("now"),
            deliveries.c.suspect == false(),
        )
        # In the order of their index: nothing is sorted, however long the queues are.
        .order_by(deliveries.c.handler, deliveries.c.due_at, deliveries.c.id)
        .limit(bindparam("most"))
        .offset(literal_column("0"))
    ),
    after=("now", "most"),
)
_SUSPECTS: Final = Prepared(
    select(deliveries.c.id, deliveries.c.handler, deliveries.c.state, deliveries.c.due_at)
    .where(is_state(deliveries.c.state, "ready", "running"), deliveries.c.suspect == true())
    .order_by(deliveries.c.attempt, deliveries.c.due_at, deliveries.c.id)
)
_RUN: Final = PreparedIn(
    lambda items: (
        update(deliveries)
        .where(deliveries.c.id.in_(items), is_state(deliveries.c.state, "ready"))
        .values(
            {
                "state": literal_column("'running'"),
                "attempt": deliveries.c.attempt + literal_column("1"),
                "started_at": bindparam("now"),
            }
        )
    ),
    before=("now",),
)
_CLAIMED: Final = PreparedIn(
    lambda items: (
        select(
            deliveries.c.id,
            deliveries.c.message_id,
            deliveries.c.handler,
            deliveries.c.rule,
            deliveries.c.attempt,
            deliveries.c.suspect,
            deliveries.c.granted,
            messages.c.snapshot,
        )
        .join_from(deliveries, messages, deliveries.c.message_id == messages.c.id)
        .where(deliveries.c.id.in_(items), is_state(deliveries.c.state, "running"))
    )
)
_UNREADABLE: Final = Prepared(
    update(deliveries)
    .where(deliveries.c.id == bindparam("the_id"))
    .values({"state": literal_column("'dead'"), "settled_at": bindparam("now"), "error": bindparam("new_error")}),
    "now",
    "new_error",
    "the_id",
)


@dataclass(slots=True)
class ClaimMemory:
    """What a node remembers between claims; losing it costs a query or a little fairness.

    Attributes:
        suspects: False once none was found: only `recover` makes new ones.
    """

    rotation: Rotation = field(default_factory=dict)
    suspects: bool = True


def claim(connection: Connection, room: Mapping[str, int], now: datetime, memory: ClaimMemory) -> list[Delivery]:
    """Mark what is to run as running, its attempt counted, and return it."""
    left = Counter({handler: count for handler, count in room.items() if count > 0})
    at = micros(now)
    chosen = list(_suspect(connection, left, at, memory))
    chosen += _ordinary(connection, +left, at, memory.rotation)
    if not chosen:
        return []
    _RUN.once(connection, chosen, at)
    # Read again what was taken: an operator may have discarded some of it meanwhile.
    rows = {row[0]: row for row in _CLAIMED.rows(connection, chosen)}
    return list(_readable(connection, [rows[key] for key in chosen if key in rows], at))


def is_waiting(connection: Connection, handler: str, now: int) -> bool:
    """Say whether any delivery of the handler is due at `now` (microseconds) and has not been claimed."""
    return bool(_DUE.rows(connection, [handler], now, 1))


def _suspect(connection: Connection, left: Counter[str], now: int, memory: ClaimMemory) -> Iterator[int]:
    """Yield the suspect to run next, if none runs; the one with the fewest attempts is the likeliest innocent."""
    if not memory.suspects:
        return
    suspects = _SUSPECTS.rows(connection)
    memory.suspects = bool(suspects)
    if any(state == "running" for _, _, state, _ in suspects):
        return
    for key, handler, _, due in suspects:
        if due <= now and left[handler] > 0:
            left[handler] -= 1
            yield key
            return


def _ordinary(connection: Connection, left: Counter[str], now: int, rotation: Rotation) -> list[int]:
    if not left:
        return []
    due = _DUE.rows(connection, sorted(left), now, left.total() + 1)
    if len(due) <= left.total() and Counter(handler for _, handler in due) <= left:
        return [key for key, _ in due]
    shares = (
        (key, handler) for handler in left for key in fair_share(connection, rotation, handler, left[handler], now)
    )
    return list(_pick(left, (*shares, *due)))


def _pick(left: Counter[str], candidates: Iterable[Sequence[Any]]) -> Iterator[int]:
    """Yield each candidate once while its handler has room. What fair shares leave empty is filled with others."""
    taken: set[int] = set()
    left = left.copy()
    for key, handler in candidates:
        if key not in taken and left[handler] > 0:
            taken.add(key)
            left[handler] -= 1
            yield key


def _readable(connection: Connection, rows: Iterable[Values], now: int) -> Iterator[Delivery]:
    """Yield the deliveries; one whose snapshot is damaged becomes a dead letter, so that it stops nobody else."""
    snapshots: dict[int, Message] = {}
    for key, message_id, handler, rule, attempt, suspect, granted, snapshot in rows:
        message = snapshots.get(message_id)
        if message is None:
            try:
                message = snapshots[message_id] = decode_message(snapshot)
            except JournalError as error:
                _UNREADABLE.once(connection, now, clean(error.message), key)
                continue
        yield Delivery(key, message_id, message, handler, rule, attempt, bool(suspect), granted)
