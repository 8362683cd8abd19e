"""Who is next when more is due than there is room for: each mailbox in turn, its oldest first.

Found by seeking, not by sorting: what it costs does not grow with the backlog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain, zip_longest
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Integer, Select, bindparam, false, func, literal_column, select, union_all

from postroom.journal.statement import Prepared, Values
from postroom.journal.tables import deliveries, is_state

MAILBOXES: Final = 64
"""Mailboxes that a claim looks at for a handler; the next claim goes on after the last that got something."""
_WIDTHS: Final = (1, 4, 16, MAILBOXES)

Rotation = dict[str, int]
"""Handler -> the mailbox that was served last, kept between claims."""


def _walk() -> Select[Any]:
    """Select the next mailboxes, in the order of their ids, that have ready deliveries: one seek in the index each."""
    ready = is_state(deliveries.c.state, "ready") & (deliveries.c.handler == bindparam("handler"))
    walk = (
        select(func.min(deliveries.c.mailbox_id).label("mailbox_id"), literal_column("1", Integer).label("number"))
        .where(ready, deliveries.c.mailbox_id > bindparam("after"))
        .cte("walk", recursive=True)
    )
    following = select(func.min(deliveries.c.mailbox_id)).where(ready, deliveries.c.mailbox_id > walk.c.mailbox_id)
    step = select(following.correlate(walk).scalar_subquery(), walk.c.number + literal_column("1")).where(
        walk.c.mailbox_id.is_not(None), walk.c.number < bindparam("most")
    )
    walk = walk.union_all(step)
    return select(walk.c.mailbox_id).where(walk.c.mailbox_id.is_not(None))


def _oldest_of(number: int) -> Select[Any]:
    """Select the oldest due deliveries of one mailbox."""
    due = (
        select(deliveries.c.id, deliveries.c.mailbox_id)
        .where(
            is_state(deliveries.c.state, "ready"),
            deliveries.c.handler == bindparam("handler"),
            deliveries.c.mailbox_id == bindparam(f"mailbox_{number}"),
            deliveries.c.due_at <= bindparam("now"),
            deliveries.c.suspect == false(),
        )
        .order_by(deliveries.c.due_at, deliveries.c.id)
        .limit(bindparam("most"))
        .offset(literal_column("0"))
        .subquery()
    )
    return select(due)


@cache
def _oldest(width: int) -> Prepared:
    """Select the oldest due deliveries of `width` mailboxes in one statement, which takes milliseconds to make."""
    names = [name for number in range(width) for name in ("handler", f"mailbox_{number}", "now", "most")]
    return Prepared(union_all(*(_oldest_of(number) for number in range(width))), *names)


_WALK: Final = Prepared(_walk(), "handler", "after", "handler", "most")


class Most(NamedTuple):
    """How many deliveries may be taken of each mailbox, or of those in `fewer`: `ports.MailboxLimit` with their ids."""

    each: int
    fewer: Mapping[int, int]

    def of(self, mailbox: int) -> int:
        """Return how many of this mailbox."""
        return self.fewer.get(mailbox, self.each)


def fair_share(
    connection: Connection, rotation: Rotation, handler: str, room: int, now: int, *, most: Most | None = None
) -> list[tuple[int, int]]:
    """Return id and mailbox of up to `room` due deliveries of `handler`, taken from its mailboxes in turn."""
    after = rotation.get(handler, 0)
    barred = sum(1 for count in most.fewer.values() if count <= 0) if most is not None else 0
    boxes = _next_mailboxes(connection, after, handler, min(room + barred, MAILBOXES))
    taken = _taken(connection, boxes, handler, room, now, most=most)
    if barred and not taken:
        # All that is due there may be of those that may have none, and others behind them.
        boxes = _next_mailboxes(connection, after, handler, MAILBOXES)
        taken = _taken(connection, boxes, handler, room, now, most=most)
    if boxes:
        rotation[handler] = taken[-1][1] if taken else boxes[-1]
    return taken


def _taken(
    connection: Connection, boxes: Sequence[int], handler: str, room: int, now: int, *, most: Most | None
) -> list[tuple[int, int]]:
    queues: dict[int, list[tuple[int, int]]] = {box: [] for box in boxes if most is None or most.of(box) > 0}
    if not queues:
        return []
    for key, mailbox in _read_oldest(connection, list(queues), handler, now, -(-room // len(queues))):
        if most is None or len(queues[mailbox]) < most.of(mailbox):
            queues[mailbox].append((key, mailbox))
    turns = chain.from_iterable(zip_longest(*queues.values()))
    return [each for each in turns if each is not None][:room]


def _next_mailboxes(connection: Connection, after: int, handler: str, most: int) -> list[int]:
    """Return the next mailboxes after one that have ready deliveries, all around."""
    boxes = [box for (box,) in _WALK.rows(connection, handler, after, handler, most)]
    if len(boxes) < most and after:
        again = [box for (box,) in _WALK.rows(connection, handler, 0, handler, most - len(boxes))]
        boxes += [box for box in again if box <= after]
    return boxes


def _read_oldest(connection: Connection, boxes: Sequence[int], handler: str, now: int, most: int) -> Sequence[Values]:
    width = next(width for width in _WIDTHS if width >= len(boxes))
    padded = [*boxes, *([0] * (width - len(boxes)))]  # no mailbox has the id 0
    values = [value for box in padded for value in (handler, box, now, most)]
    return _oldest(width).rows(connection, *values)
