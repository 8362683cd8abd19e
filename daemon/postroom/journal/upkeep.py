"""After a crash and between turns: take back what was running, say what is due next, count."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Label, ScalarSelect, Table, case, func, insert, literal, null, select, true, update

from postroom.failpoints import reach
from postroom.journal import set_back
from postroom.journal.codec import MICROSECOND, micros, moment_or_none
from postroom.journal.tables import NEVER, actions, attempts, deliveries, is_state, messages

CUT_OFF: Final = "The daemon died while the handler ran."
DELIVERY_STATES: Final = ("ready", "running", "done", "dead", "discarded")
ACTION_STATES: Final = ("ready", "running", "done", "dead", "discarded")


def recover(connection: Connection) -> int:
    """See `ports.Journal.recover`. Mail actions are idempotent: they are simply carried out again.

    Who was no suspect yet gets the attempt back: most of those that ran beside the culprit have done nothing.
    """
    running = is_state(deliveries.c.state, "running")
    cut_off = select(
        deliveries.c.id, deliveries.c.attempt, deliveries.c.started_at, null(), literal("cut off"), literal(CUT_OFF)
    ).where(running)
    columns = ["delivery_id", "attempt", "started_at", "ended_at", "outcome", "error"]
    connection.execute(insert(attempts).from_select(columns, cut_off))
    connection.execute(update(actions).where(is_state(actions.c.state, "running")).values(state="ready"))
    forgiven = deliveries.c.granted + case((deliveries.c.suspect == true(), 0), else_=1)
    suspects = update(deliveries).where(running).values(state="ready", suspect=true(), error=CUT_OFF, granted=forgiven)
    count = connection.execute(suspects).rowcount
    reach("recovery.written")
    return count


def next_due(connection: Connection) -> datetime | None:
    """See `ports.Journal.next_due`."""
    times = connection.execute(_NEXT_DUE).one()
    return moment_or_none(min((at for at in times if at is not None), default=None))


def _earliest_delivery() -> ScalarSelect[Any]:
    """Select the earliest due time: one seek in the index for each handler, however long their queues are."""
    ready = is_state(deliveries.c.state, "ready")
    first = select(func.min(deliveries.c.handler).label("handler")).where(ready)
    walk = first.cte("walk", recursive=True)
    following = select(func.min(deliveries.c.handler)).where(ready, deliveries.c.handler > walk.c.handler)
    walk = walk.union_all(select(following.correlate(walk).scalar_subquery()).where(walk.c.handler.is_not(None)))
    earliest = select(func.min(deliveries.c.due_at)).where(ready, deliveries.c.handler == walk.c.handler)
    return select(func.min(earliest.correlate(walk).scalar_subquery())).select_from(walk).scalar_subquery()


_NEXT_DUE: Final = select(
    _earliest_delivery(),
    select(func.min(actions.c.due_at)).where(is_state(actions.c.state, "ready")).scalar_subquery(),
)


def hasten(connection: Connection, now: datetime, by: timedelta, latest: datetime) -> int:
    """See `ports.Journal.hasten`."""
    shift, beyond = by // MICROSECOND, micros(now) if by else micros(latest)
    if by or set_back.was_ahead(connection, micros(now)):
        set_back.take_back(connection, micros(now), shift)
    count = sum(_hasten(connection, table, shift, beyond, micros(latest)) for table in (deliveries, actions))
    reach("hastening.written")
    return count


def _hasten(connection: Connection, table: Table, shift: int, beyond: int, latest: int) -> int:
    sooner = table.c.due_at - shift
    waiting = update(table).where(is_state(table.c.state, "ready"), table.c.due_at > beyond, table.c.due_at < NEVER)
    return connection.execute(waiting.values(due_at=case((sooner > latest, latest), else_=sooner))).rowcount


def counts(connection: Connection) -> dict[str, int]:
    """See `ports.Journal.counts`. What is done is the rest of all: the other states are few and indexed."""
    found: dict[str, int] = dict(connection.execute(_COUNTS).mappings().one())
    for name, states in (("deliveries", DELIVERY_STATES), ("actions", ACTION_STATES)):
        found[f"{name}.done"] -= sum(found[f"{name}.{state}"] for state in states if state != "done")
    return found


def damage(connection: Connection) -> str:
    """Say what is wrong with a SQLite file, its indexes included; empty when nothing is. A server sees to its own."""
    if connection.dialect.name != "sqlite":
        return ""
    found = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one())
    return "" if found == "ok" else found


def _counts(table: Table, states: tuple[str, ...]) -> list[Label[int]]:
    """Count each state, and everything under the name of ``done``."""
    return [_count(table, state if state != "done" else None).label(f"{table.name}.{state}") for state in states]


def _count(table: Table, state: str | None = None) -> ScalarSelect[int]:
    query = select(func.count()).select_from(table)
    return (query if state is None else query.where(is_state(table.c.state, state))).scalar_subquery()


_COUNTS: Final = select(
    _count(messages).label("messages"), *_counts(deliveries, DELIVERY_STATES), *_counts(actions, ACTION_STATES)
)
