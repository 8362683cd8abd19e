"""An operator's word on deliveries and mail actions: run them again, or give them up.

Of deliveries all that is asked for, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, literal_column, select, update
from sqlalchemy.sql.elements import ColumnElement

from postroom.errors import PostroomError
from postroom.journal.codec import clean, micros
from postroom.journal.kept import let_go
from postroom.journal.records import Retried
from postroom.journal.statement import PreparedIn
from postroom.journal.tables import LARGEST, actions, deliveries, is_state, messages
from postroom.model import DeliveryState

_STATES = PreparedIn(
    lambda items: (
        select(deliveries.c.id, deliveries.c.state)
        .where(deliveries.c.id.in_(items))
        .order_by(deliveries.c.id)
        .with_for_update()
    )
)
_MESSAGES = PreparedIn(
    lambda items: (
        select(messages.c.id)
        .where(messages.c.id.in_(select(deliveries.c.message_id).where(deliveries.c.id.in_(items))))
        .order_by(messages.c.id)
        .with_for_update()
    )
)
_RETRIED = frozenset({DeliveryState.READY, DeliveryState.DEAD, DeliveryState.DISCARDED})
_DISCARDED = frozenset({DeliveryState.READY, DeliveryState.DEAD})


def retry(connection: Connection, ids: Sequence[int], at: datetime) -> int:
    """Make deliveries due now with their policy afresh; returns how many. Attempts go on counting upwards.

    Dead mail actions of their messages become due as well: who mends a cause means all that it stopped.
    """
    wanted = _check(connection, ids, _RETRIED, "retried")
    change = {
        "state": DeliveryState.READY.value,
        "due_at": micros(at),
        "granted": deliveries.c.attempt,
        "settled_at": None,
        "note": "",
    }
    for part in _parts(wanted):
        connection.execute(update(deliveries).where(part).values(change))
        of_them = actions.c.message_id.in_(select(deliveries.c.message_id).where(part))
        _make_due(connection, at, of_them, is_state(actions.c.state, "dead"))
        let_go(connection, micros(at), of_them)
    return len(wanted)


def retry_actions(connection: Connection, message_ids: Sequence[int], at: datetime) -> Retried:
    """Make the dead and discarded mail actions of these messages due now, their attempts counted afresh."""
    _lock(connection, message_ids)
    of_them = actions.c.message_id.in_(message_ids)
    open_ones = select(func.count()).select_from(actions).where(of_them, is_state(actions.c.state, "ready", "running"))
    under_way = connection.scalar(open_ones) or 0
    let_go(connection, micros(at), of_them)
    return Retried(_make_due(connection, at, of_them, is_state(actions.c.state, "dead", "discarded")), under_way)


def _lock(connection: Connection, message_ids: Sequence[int]) -> None:
    """As in `_check`: retention may be dropping them, or somebody be about to keep one from deletion."""
    connection.execute(
        select(messages.c.id).where(messages.c.id.in_(message_ids)).order_by(messages.c.id).with_for_update()
    ).all()


def _make_due(connection: Connection, at: datetime, *conditions: ColumnElement[bool]) -> int:
    change = {"state": literal_column("'ready'"), "due_at": micros(at), "attempt": 0, "settled_at": None, "note": ""}
    return connection.execute(update(actions).where(*conditions).values(change)).rowcount


def discard_actions(connection: Connection, message_ids: Sequence[int], reason: str, at: datetime) -> int:
    """Give the dead mail actions of these messages up, remembering why; returns how many."""
    _lock(connection, message_ids)
    of_them = actions.c.message_id.in_(message_ids)
    change = {"state": literal_column("'discarded'"), "settled_at": micros(at), "note": clean(reason)}
    count = connection.execute(
        update(actions).where(of_them, is_state(actions.c.state, "dead")).values(change)
    ).rowcount
    let_go(connection, micros(at), of_them)
    return count


def discard(connection: Connection, ids: Sequence[int], reason: str, at: datetime) -> int:
    """Give deliveries up, remembering why; returns how many. What kept mail from deletion does so no longer."""
    wanted = _check(connection, ids, _DISCARDED, "discarded")
    change = {"state": DeliveryState.DISCARDED.value, "settled_at": micros(at), "note": clean(reason)}
    for part in _parts(wanted):
        connection.execute(update(deliveries).where(part).values(change))
        let_go(connection, micros(at), actions.c.message_id.in_(select(deliveries.c.message_id).where(part)))
    return len(wanted)


def select_ids(connection: Connection, *conditions: ColumnElement[bool]) -> list[int]:
    """Return the ids of the deliveries that fit all conditions."""
    return [key for (key,) in connection.execute(select(deliveries.c.id).where(*conditions).order_by(deliveries.c.id))]


def handlers_of(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Return id -> handler of those of the deliveries that there are."""
    columns = select(deliveries.c.id, deliveries.c.handler)
    possible = [key for key in ids if 0 < key <= LARGEST]
    return {key: name for part in _parts(possible) for key, name in connection.execute(columns.where(part))}


def _parts(ids: Sequence[int]) -> Iterable[ColumnElement[bool]]:
    return [deliveries.c.id.in_(ids[start : start + 500]) for start in range(0, len(ids), 500)]


def _check(connection: Connection, ids: Sequence[int], fit: frozenset[DeliveryState], verb: str) -> list[int]:
    """Return the ids without repeats; raises PostroomError naming the first ones that are missing or do not fit."""
    wanted = sorted(set(ids))
    possible = [key for key in wanted if 0 < key <= LARGEST]
    _MESSAGES.rows(connection, possible)  # locked first and so as retention does, which may be dropping them
    states = {key: DeliveryState(state) for key, state in _STATES.rows(connection, possible)}
    newest = connection.scalar(select(func.max(deliveries.c.id))) or 0
    wrong = [f"{key} {_why(key, states, newest)}" for key in wanted if states.get(key) not in fit]
    if wrong:
        more = f" and {len(wrong) - 10} more" if len(wrong) > 10 else ""  # noqa: PLR2004 - a line's worth
        raise PostroomError(
            f"Nothing was {verb}: delivery {', delivery '.join(wrong[:10])}{more}.",
            remedy=f"Only deliveries that are {', '.join(sorted(fit))} can be {verb}.",
        )
    return wanted


def _why(key: int, states: Mapping[int, DeliveryState], newest: int) -> str:
    if key in states:
        return f"is {states[key].value}"
    return "was settled long ago and pruned" if 0 < key <= newest else "does not exist"
