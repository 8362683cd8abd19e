"""What handlers keep: effects they claimed, and their key-value pairs."""

from __future__ import annotations

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
