"""Claims: which deliveries run next. Fair over mailboxes, within the room each handler has, suspects one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, bindparam, false, literal_column, select, true, update

from postroom.errors import JournalError
from postroom.journal.codec import clean, decode_message, micros
from postroom.journal.fair import Most, Rotation, fair_share
from postroom.journal.statement import Prepared, PreparedIn, Values
from postroom.journal.tables import deliveries, is_state, mailboxes, messages
from postroom.model import Delivery, Message
from postroom.ports import MailboxLimit

_DUE: Final = PreparedIn(
    lambda items: (
        select(deliveries.c.id, deliveries.c.handler, deliveries.c.mailbox_id)
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
_UNTRIED: Final = Prepared(
    select(deliveries.c.id)
    .where(
        is_state(deliveries.c.state, "ready"),
        deliveries.c.handler == bindparam("handler"),
        deliveries.c.due_at <= bindparam("now"),
        deliveries.c.attempt == literal_column("0"),
        deliveries.c.suspect == false(),
    )
    .order_by(deliveries.c.due_at.desc(), deliveries.c.id.desc())
    .limit(literal_column("1"))
    .offset(literal_column("0")),
    "handler",
    "now",
)
_IDS: Final = PreparedIn(
    lambda items: select(mailboxes.c.address, mailboxes.c.id).where(mailboxes.c.address.in_(items))
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


def claim(
    connection: Connection,
    room: Mapping[str, int],
    now: datetime,
    memory: ClaimMemory,
    *,
    limits: Mapping[str, MailboxLimit] = MappingProxyType({}),
    probed: Collection[str] = (),
) -> list[Delivery]:
    """Mark what is to run as running, its attempt counted, and return it."""
    left = Counter({handler: count for handler, count in room.items() if count > 0})
    at = micros(now)
    chosen = list(_suspect(connection, left, at, memory))
    chosen += _probes(connection, left, at, probed)
    chosen += _ordinary(connection, +left, at, memory.rotation, limits)
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


def _probes(connection: Connection, left: Counter[str], now: int, probed: Collection[str]) -> Iterator[int]:
    """Yield for each handler that is tried out a delivery of which nothing is known yet, the newest."""
    for handler in probed:
        if left[handler] > 0 and (newest := _UNTRIED.rows(connection, handler, now)):
            left[handler] = 0
            yield newest[0][0]


def _ordinary(
    connection: Connection, left: Counter[str], now: int, rotation: Rotation, limits: Mapping[str, MailboxLimit]
) -> list[int]:
    if not left:
        return []
    due = _DUE.rows(connection, sorted(left), now, left.total() + 1)
    most = _by_id(connection, limits) if limits and due else {}
    if len(due) <= left.total() and _fit(due, left, most):
        return [key for key, _, _ in due]
    shares = (
        (key, handler, mailbox)
        for handler in left
        for key, mailbox in fair_share(connection, rotation, handler, left[handler], now, most=most.get(handler))
    )
    return list(_pick(left, most, (*shares, *due)))


def _by_id(connection: Connection, limits: Mapping[str, MailboxLimit]) -> dict[str, Most]:
    """Return the limits by the ids of mailboxes; one address may be in several tenants."""
    addresses = sorted({address for limit in limits.values() for address in limit.fewer})
    rows = _IDS.rows(connection, addresses) if addresses else []
    return {
        handler: Most(limit.each, {key: limit.fewer[address] for address, key in rows if address in limit.fewer})
        for handler, limit in limits.items()
    }


def _fit(due: Sequence[Values], left: Counter[str], most: Mapping[str, Most]) -> bool:
    """Say whether all that is due may be taken."""
    if not Counter(handler for _, handler, _ in due) <= left:
        return False
    counts = Counter((handler, mailbox) for _, handler, mailbox in due if handler in most) if most else {}
    return all(count <= most[handler].of(mailbox) for (handler, mailbox), count in counts.items())


def _pick(left: Counter[str], most: Mapping[str, Most], candidates: Iterable[Sequence[Any]]) -> Iterator[int]:
    """Yield each candidate once while there is room. What fair shares leave empty is filled with others."""
    taken: set[int] = set()
    left, of_mailbox = left.copy(), Counter[tuple[str, int]]()
    for key, handler, mailbox in candidates:
        if key in taken or left[handler] <= 0:
            continue
        if handler in most and of_mailbox[handler, mailbox] >= most[handler].of(mailbox):
            continue
        taken.add(key)
        left[handler] -= 1
        of_mailbox[handler, mailbox] += 1
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
