"""After a crash and between turns: take back what was running, say what is due next, count."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, ScalarSelect, Select, Table, func, insert, literal, null, select, true, update

from postroom.journal.codec import moment_or_none
from postroom.journal.tables import actions, attempts, deliveries, is_state, messages

CUT_OFF: Final = "The daemon died while the handler ran."
DELIVERY_STATES: Final = ("ready", "running", "done", "dead", "discarded")
ACTION_STATES: Final = ("ready", "running", "done", "dead")


def recover(connection: Connection) -> int:
    """See `ports.Journal.recover`. Mail actions are idempotent: they are simply carried out again."""
    running = is_state(deliveries.c.state, "running")
    cut_off = select(
        deliveries.c.id, deliveries.c.attempt, deliveries.c.started_at, null(), literal("cut off"), literal(CUT_OFF)
    ).where(running)
    columns = ["delivery_id", "attempt", "started_at", "ended_at", "outcome", "error"]
    connection.execute(insert(attempts).from_select(columns, cut_off))
    connection.execute(update(actions).where(is_state(actions.c.state, "running")).values(state="ready"))
    suspects = update(deliveries).where(running).values(state="ready", suspect=true(), error=CUT_OFF)
    return connection.execute(suspects).rowcount


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


def counts(connection: Connection) -> dict[str, int]:
    """See `ports.Journal.counts`."""
    found: dict[str, int] = dict(connection.execute(_COUNTS).mappings().one())
    return found


def _counts() -> Select[Any]:
    return select(
        _count(messages).label("messages"),
        *_counts_of(deliveries, "deliveries", DELIVERY_STATES),
        *_counts_of(actions, "actions", ACTION_STATES),
    )


def _counts_of(table: Table, name: str, states: tuple[str, ...]) -> list[Any]:
    """Count each state; `done` is the rest of all, for the other states are few and indexed."""
    found = {state: _count(table, state) for state in states if state != "done"}
    rest = _count(table)
    for count in found.values():
        rest = rest - count
    return [(found | {"done": rest})[state].label(f"{name}.{state}") for state in states]


def _count(table: Table, state: str | None = None) -> Any:
    query = select(func.count()).select_from(table)
    return (query if state is None else query.where(is_state(table.c.state, state))).scalar_subquery()


_COUNTS: Final = _counts()
