"""Deliveries that wait for a handler which nobody has."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from postroom.journal.tables import deliveries, is_state


def unserved(connection: Connection, handlers: Collection[str]) -> dict[str, int]:
    """See `ports.Journal.unserved`. One seek in the index for each handler, however long their queues are."""
    ready = is_state(deliveries.c.state, "ready")
    found, last = dict[str, int](), ""
    while name := connection.scalar(select(func.min(deliveries.c.handler)).where(ready, deliveries.c.handler > last)):
        if name not in handlers:
            waiting = select(func.count()).select_from(deliveries).where(ready, deliveries.c.handler == name)
            found[name] = connection.scalar(waiting) or 0
        last = name
    return found
