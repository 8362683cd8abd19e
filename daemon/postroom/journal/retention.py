"""Retention: what became of a mail is forgotten after a time; that it was handled, and by whom, is not.

A pruned message keeps its id, its times, and the state of what there was for each handler and origin of mail actions.
So a folder that is listed again finds it known, and a mail that comes back from another folder goes to nobody twice.
Not the hot path: plain Core, a few hundred messages a transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Select, and_, delete, exists, func, null, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from postroom.journal.codec import decode_settled, encode_settled, micros
from postroom.journal.tables import actions, attempts, deliveries, effects, is_state, mailboxes, messages
from postroom.ports import Forgettable, Pruned

DONE: Final = Pruned(0, None)


def prune(connection: Connection, before: datetime, after: int, limit: int) -> Pruned:
    """See `ports.Journal.prune`."""
    span = _span(connection, after, limit)
    if span is None:
        return DONE
    old = and_(messages.c.id.between(*span), messages.c.seen_at < micros(before))
    if not connection.scalar(select(exists().where(old))):
        return DONE
    chosen = [key for (key,) in connection.execute(select(messages.c.id).where(old, *_prunable(before)))]
    chosen = sorted(set(chosen) - _newest(connection))
    if chosen:
        _drop(connection, chosen)
    return Pruned(len(chosen), span[1])


def _span(connection: Connection, after: int, limit: int) -> tuple[int, int] | None:
    """Return the next ids to look at, first and last; gaps are skipped, and there are none beyond the newest."""
    first = connection.scalar(select(func.min(messages.c.id)).where(messages.c.id > after))
    return None if first is None else (first, first + limit - 1)


def _prunable(before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Nothing of it is under way or waits for an operator, and the last of it was settled before then."""
    unsettled = (
        exists().where(
            table.c.message_id == messages.c.id,
            or_(table.c.settled_at.is_(None), table.c.settled_at >= micros(before), is_state(table.c.state, "dead")),
        )
        for table in (deliveries, actions)
    )
    whole = or_(messages.c.settled.is_(None), messages.c.snapshot.is_not(None))
    return (whole, *(~each for each in unsettled))


def _newest(connection: Connection) -> set[int]:
    """Return the messages that stay: SQLite gives the highest id again once its row is gone, and ids are unique."""
    last = select(func.max(deliveries.c.id)).scalar_subquery()
    found = (
        connection.scalar(select(func.max(messages.c.id))),
        connection.scalar(select(deliveries.c.message_id).where(deliveries.c.id == last)),
    )
    return {key for key in found if key is not None}


def _drop(connection: Connection, chosen: Sequence[int]) -> None:
    """Drop the details of these messages."""
    alike: dict[str, list[int]] = defaultdict(list)
    for key, settled in _settled(connection, chosen).items():
        alike[encode_settled(settled)].append(key)
    of_them = select(deliveries.c.id).where(deliveries.c.message_id.in_(chosen))
    for column in (attempts.c.delivery_id, effects.c.delivery_id):
        connection.execute(delete(column.table).where(column.in_(of_them)))
    for column in (deliveries.c.message_id, actions.c.message_id):
        connection.execute(delete(column.table).where(column.in_(chosen)))
    blank = {"subject": "", "sender": "", "internet_message_id": "", "rules": null(), "snapshot": null()}
    for text, keys in alike.items():
        connection.execute(update(messages).where(messages.c.id.in_(keys)).values(blank | {"settled": text}))


def _settled(connection: Connection, chosen: Sequence[int]) -> dict[int, dict[str, str]]:
    """Return message -> handler or origin -> state: what an earlier pruning left, and what there is now."""
    found = {key: dict(decode_settled(before or "{}")) for key, before in connection.execute(_remaining(chosen))}
    for table, name in ((deliveries, deliveries.c.handler), (actions, actions.c.origin)):
        query = select(table.c.message_id, name, table.c.state).where(table.c.message_id.in_(chosen))
        for key, who, state in connection.execute(query.order_by(table.c.id)):
            found[key][who] = state
    return found


def _remaining(ids: Sequence[int]) -> Select[int, str | None]:
    return select(messages.c.id, messages.c.settled).where(messages.c.id.in_(ids)).order_by(messages.c.id)


def settled_before(connection: Connection, ids: Sequence[int]) -> dict[int, Mapping[str, str]]:
    """Return message -> handler or origin -> state, for those of `ids` that were pruned once."""
    return {key: decode_settled(text) for key, text in connection.execute(_remaining(ids)) if text is not None}


def forgettable(connection: Connection, before: datetime, after: int, limit: int) -> Forgettable:
    """See `ports.Journal.forgettable`."""
    span = _span(connection, after, limit)
    if span is None:
        return Forgettable((), None)
    old = and_(messages.c.id.between(*span), messages.c.seen_at < micros(before))
    if not connection.scalar(select(exists().where(old))):
        return Forgettable((), None)
    bare = (messages.c.settled.is_not(None), messages.c.snapshot.is_(None))
    query = select(messages.c.id, mailboxes.c.address, messages.c.graph_id).join_from(messages, mailboxes)
    rows = connection.execute(query.where(old, *bare).order_by(messages.c.id))
    return Forgettable(tuple((row[0], row[1], row[2]) for row in rows), span[1])


def forget(connection: Connection, ids: Sequence[int]) -> int:
    """See `ports.Journal.forget`."""
    chosen = sorted(set(ids) - _newest(connection))
    bare = (messages.c.settled.is_not(None), messages.c.snapshot.is_(None))
    return connection.execute(delete(messages).where(messages.c.id.in_(chosen), *bare)).rowcount
