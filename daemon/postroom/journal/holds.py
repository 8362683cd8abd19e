"""Handlers whose deliveries are held, and what becomes of these when it begins and ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from postroom.failpoints import reach
from postroom.journal.codec import clean, micros, moment
from postroom.journal.tables import deliveries, holds, is_state
from postroom.ports import HeldHandler

_FORGIVE = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("the_id"), is_state(deliveries.c.state, "ready"))
    .values(granted=deliveries.c.granted + bindparam("attempts"), due_at=bindparam("at"))
)


def hold(connection: Connection, held: HeldHandler, forgiven: Mapping[int, int], at: datetime) -> None:
    """See `ports.Journal.hold`."""
    connection.execute(delete(holds).where(holds.c.handler == held.handler))
    connection.execute(insert(holds).values(handler=held.handler, since=micros(held.since), reason=clean(held.reason)))
    rows = [{"the_id": key, "attempts": count, "at": micros(at)} for key, count in forgiven.items()]
    if rows:
        connection.execute(_FORGIVE, rows)
    reach("hold.written")


def release(connection: Connection, handler: str, since: datetime, at: datetime) -> None:
    """See `ports.Journal.release`."""
    connection.execute(delete(holds).where(holds.c.handler == handler))
    failed_meanwhile = (
        is_state(deliveries.c.state, "ready"),
        deliveries.c.handler == handler,
        deliveries.c.due_at > micros(at),
        deliveries.c.started_at >= micros(since),
    )
    connection.execute(update(deliveries).where(*failed_meanwhile).values(due_at=micros(at)))
    reach("release.written")


def held(connection: Connection) -> list[HeldHandler]:
    """See `ports.Journal.held`."""
    rows = connection.execute(select(holds).order_by(holds.c.handler))
    return [HeldHandler(row.handler, moment(row.since), row.reason) for row in rows]
