"""What handlers keep: effects they claimed, and their key-value pairs."""

from __future__ import annotations

import json

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from postroom.failpoints import reach
from postroom.journal.tables import effects, handler_state


def claim_effect(connection: Connection, delivery: int, key: str) -> bool:
    """See `ports.Journal.claim_effect`."""
    if has_effect(connection, delivery, key):
        return False
    connection.execute(insert(effects), {"delivery_id": delivery, "key": key})
    reach("effect.written")
    return True


def has_effect(connection: Connection, delivery: int, key: str) -> bool:
    """See `ports.Journal.has_effect`."""
    mine = select(effects.c.key).where(effects.c.delivery_id == delivery, effects.c.key == key)
    return connection.scalar(mine) is not None


def get_state(connection: Connection, handler: str, key: str) -> str | None:
    """See `ports.Journal.state_get`."""
    mine = (handler_state.c.handler == handler) & (handler_state.c.key == key)
    value: str | None = connection.scalar(select(handler_state.c.value).where(mine))
    return value


def set_state(connection: Connection, handler: str, key: str, value: str) -> None:
    """See `ports.Journal.state_set`."""
    mine = (handler_state.c.handler == handler) & (handler_state.c.key == key)
    if not connection.execute(update(handler_state).where(mine), {"value": value}).rowcount:
        try:
            with connection.begin_nested():
                connection.execute(insert(handler_state), {"handler": handler, "key": key, "value": value})
        except IntegrityError:  # another transaction of this handler inserted it first
            connection.execute(update(handler_state).where(mine), {"value": value})
    reach("state.written")


def add_state(connection: Connection, handler: str, key: str, amount: int) -> int:
    """See `ports.Journal.state_add`. Where another transaction was first, it is added to what that one left."""
    while True:
        before = get_state(connection, handler, key)
        total = amount + (0 if before is None else _number(key, before))
        if _replaced(connection, handler, key, before, str(total)):
            reach("state.written")
            return total


def _number(key: str, value: str) -> int:
    number = json.loads(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"what is stored under {key!r} is no whole number, so nothing can be added to it")
    return number


def _replaced(connection: Connection, handler: str, key: str, before: str | None, value: str) -> bool:
    """Store `value` in the place of `before`; False when that is not there any more."""
    if before is not None:
        mine = (handler_state.c.handler == handler) & (handler_state.c.key == key) & (handler_state.c.value == before)
        return bool(connection.execute(update(handler_state).where(mine), {"value": value}).rowcount)
    try:
        with connection.begin_nested():
            connection.execute(insert(handler_state), {"handler": handler, "key": key, "value": value})
    except IntegrityError:
        return False
    return True
