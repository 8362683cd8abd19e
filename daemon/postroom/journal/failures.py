"""The attempts that did not end well: a row for each, and two for however many were forgiven one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Text, bindparam, func, insert, literal_column, select, update

from postroom.journal.statement import Prepared, Values
from postroom.journal.tables import attempts

FORGIVEN: Final = "forgiven"
"""The outcome of an attempt of which the mail was not the cause; there is no limit to how many there may be."""

_COLUMNS: Final = ("delivery_id", "attempt", "started_at", "ended_at", "outcome", "error")
_CHANGED: Final = ("attempt", "started_at", "ended_at", "error")
_ADD: Final = Prepared(insert(attempts).values({name: bindparam(name) for name in _COLUMNS}), *_COLUMNS)

_OF_DELIVERY: Final = attempts.c.delivery_id == bindparam("the_delivery")
_FORGIVEN: Final = literal_column(f"'{FORGIVEN}'", Text)
_LAST: Final = select(func.max(attempts.c.id)).where(_OF_DELIVERY).scalar_subquery()
_OUTCOME_BEFORE: Final = (
    select(attempts.c.outcome)
    .where(_OF_DELIVERY)
    .order_by(attempts.c.id.desc())
    .limit(literal_column("1"))
    .offset(literal_column("1"))
    .scalar_subquery()
)
_MOVE_ON: Final = Prepared(
    update(attempts)
    .where(attempts.c.id == _LAST, attempts.c.outcome == _FORGIVEN, _OUTCOME_BEFORE == _FORGIVEN)
    .values({name: bindparam(f"new_{name}") for name in _CHANGED}),
    *(f"new_{name}" for name in _CHANGED),
    "the_delivery",
    "the_delivery",
)


def record(connection: Connection, rows: Sequence[Values]) -> None:
    """Add attempts: delivery, attempt, start, end, outcome and error of each, at most one of a delivery.

    An outage has each delivery tried for as long as it lasts. Of the attempts forgiven in a row the first and the last
    are kept, which tell how many there were and since when.
    """
    _ADD.many(connection, [row for row in rows if not _moves_on(connection, row)])


def _moves_on(connection: Connection, row: Values) -> bool:
    """Write this attempt over the last one, if that and the one before were forgiven as this one is."""
    delivery, attempt, started_at, ended_at, outcome, error = row
    values = (attempt, started_at, ended_at, error, delivery, delivery)
    return outcome == FORGIVEN and _MOVE_ON.once(connection, *values) > 0
