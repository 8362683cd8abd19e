"""Retention: what became of a mail is forgotten after a time; that it was handled, and by whom, is not.

A pruned message keeps its id, its times, and the state of what there was for each handler and origin of mail actions.
So a folder that is listed again finds it known, and a mail that comes back from another folder goes to nobody twice.
Not the hot path: plain Core, a few hundred messages a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, Select, bindparam, delete, exists, func, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from postroom.failpoints import reach
from postroom.journal.codec import decode_settled, encode_settled, micros
from postroom.journal.engine import joins_emptied_pages
from postroom.journal.tables import actions, attempts, deliveries, effects, is_state, mailboxes, messages
from postroom.ports import Forgettable, Pruned


def prune(connection: Connection, before: datetime, after: int, limit: int) -> Pruned:
    """See `ports.Journal.prune`."""
    upto, more = _reach(connection, before, after, limit)
    chosen = _choose(connection, before, after, upto)
    if chosen:
        _drop(connection, chosen)
        reach("pruning.written")
    return Pruned(len(chosen), upto, more)


def _reach(connection: Connection, before: datetime, after: int, limit: int) -> tuple[int, bool]:
    """Return the last message among the next `limit` ids that is old enough, and whether more may follow.

    Ids grow with the time at which messages were seen, but for a clock that was set back: what is too young and comes
    before others that are not is stepped over until all is looked at from the beginning again.
    """
    first = connection.scalar(select(func.min(messages.c.id)).where(messages.c.id > after))
    if first is None:
        return after, False
    newest = connection.scalar(select(func.max(messages.c.id))) or first
    last = min(first + limit - 1, newest)
    old = messages.c.id.between(first, last), messages.c.seen_at < micros(before)
    upto = connection.scalar(select(func.max(messages.c.id)).where(*old)) or after
    has_young = connection.scalar(select(exists().where(messages.c.id.between(upto + 1, last))))
    return (upto, False) if has_young else (last, last < newest)


def _choose(connection: Connection, before: datetime, after: int, upto: int) -> list[int]:
    """Lock what can be pruned, and return what still can.

    PostgreSQL lets others write meanwhile. Who gives a message something new to do locks it as well: what was done
    before we have the lock is seen by the second look, what comes after it sees what we leave.
    """
    fitting = select(messages.c.id).where(*_prunable(before)).order_by(messages.c.id)
    in_reach = fitting.where(messages.c.id > after, messages.c.id <= upto)
    locked = [key for (key,) in connection.execute(in_reach.with_for_update())]
    chosen = {key for (key,) in connection.execute(fitting.where(messages.c.id.in_(locked)))} if locked else set[int]()
    return sorted(chosen - _newest(connection))


def _prunable(before: datetime) -> tuple[ColumnElement[bool], ...]:
    """It was seen before then, nothing of it is under way or waits for an operator, and the last of it was settled."""
    unsettled = (
        exists().where(
            table.c.message_id == messages.c.id,
            or_(table.c.settled_at.is_(None), table.c.settled_at >= micros(before), is_state(table.c.state, "dead")),
        )
        for table in (deliveries, actions)
    )
    whole = or_(messages.c.settled.is_(None), messages.c.snapshot.is_not(None))
    return (messages.c.seen_at < micros(before), whole, *(~each for each in unsettled))


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
    texts = {key: encode_settled(states) for key, states in _settled(connection, chosen).items()}
    of_them = select(deliveries.c.id).where(deliveries.c.message_id.in_(chosen))
    for column in (attempts.c.delivery_id, effects.c.delivery_id):
        connection.execute(delete(column.table).where(column.in_(of_them)))
    for column in (deliveries.c.message_id, actions.c.message_id):
        connection.execute(delete(column.table).where(column.in_(chosen)))
    _rewrite(connection, texts)


def _rewrite(connection: Connection, settled: Mapping[int, str]) -> None:
    """Write the messages without their details.

    SQLite joins pages that have become empty when a row is deleted, not when it gets shorter: updated, what is left
    would take four times the room. So there the rows are deleted and inserted.
    """
    blank = {"subject": "", "sender": "", "internet_message_id": "", "rules": None, "snapshot": None}
    chosen = messages.c.id.in_(settled)
    if joins_emptied_pages(connection):
        new = {f"new_{name}": value for name, value in blank.items()}
        change = update(messages).where(messages.c.id == bindparam("the_id"))
        change = change.values({name: bindparam(f"new_{name}") for name in (*blank, "settled")})
        connection.execute(change, [{**new, "the_id": key, "new_settled": text} for key, text in settled.items()])
        return
    found = connection.execute(select(messages).where(chosen).order_by(messages.c.id)).mappings()
    rows = [{**row, **blank, "settled": settled[row["id"]]} for row in found]
    connection.execute(delete(messages).where(chosen))
    connection.execute(insert(messages), rows)


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
    upto, _ = _reach(connection, before, after, limit)
    bare = (messages.c.settled.is_not(None), messages.c.snapshot.is_(None), messages.c.seen_at < micros(before))
    query = select(messages.c.id, mailboxes.c.address, messages.c.graph_id).join_from(messages, mailboxes)
    rows = connection.execute(query.where(messages.c.id > after, messages.c.id <= upto, *bare).order_by(messages.c.id))
    return Forgettable(tuple((row[0], row[1], row[2]) for row in rows), upto)


def forget(connection: Connection, ids: Sequence[int]) -> int:
    """See `ports.Journal.forget`."""
    chosen = sorted(set(ids) - _newest(connection))
    bare = (messages.c.settled.is_not(None), messages.c.snapshot.is_(None))
    count = connection.execute(delete(messages).where(messages.c.id.in_(chosen), *bare)).rowcount
    reach("forgetting.written")
    return count
