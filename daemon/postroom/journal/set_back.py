"""What a clock that was ahead has noted as past, moved back out of the future. Plain Core: it happens once in years."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Column, Connection, Table, case, exists, or_, select, update

from postroom.journal.tables import actions, correspondents, deliveries, folders, holds, mailboxes, messages, sends

_PAST: Final[Mapping[Table, Sequence[Column[Any]]]] = {
    mailboxes: (mailboxes.c.parked_at,),
    folders: (
        folders.c.walk_started_at,
        folders.c.floor,
        folders.c.last_round_at,
        folders.c.last_error_at,
        folders.c.reconciled_at,
    ),
    messages: (messages.c.seen_at,),
    deliveries: (deliveries.c.started_at, deliveries.c.settled_at),
    actions: (actions.c.settled_at,),
    sends: (sends.c.at, sends.c.tried_at),
    correspondents: (correspondents.c.at,),
    holds: (holds.c.since,),
}
"""Times at which something happened. Those of attempts are only read by people, and stay as they were noted."""

_NEWEST: Final = 1000
"""Messages that are looked at to tell whether the clock was ahead while the daemon was away."""


def was_ahead(connection: Connection, now: int) -> bool:
    """Say whether the last thing that was noted lies after `now`: a round, or a message among the newest."""
    newest = select(messages.c.seen_at).order_by(messages.c.id.desc()).limit(_NEWEST).subquery()
    rounds = exists().where(or_(folders.c.last_round_at > now, folders.c.last_error_at > now))
    return bool(connection.scalar(select(or_(rounds, exists().where(newest.c.seen_at > now)))))


def take_back(connection: Connection, now: int, by: int) -> None:
    """Move every time of the past that lies after `now` back by so much, and further where that is not enough."""
    for table, columns in _PAST.items():
        for column in columns:
            earlier = case((column - by > now, now), else_=column - by)
            connection.execute(update(table).where(column > now).values({column.name: earlier}))
