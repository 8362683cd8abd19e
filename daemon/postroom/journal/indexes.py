"""The partial indexes: only what the daemon looks for, so that a delivery that is done costs no index entry.

They stand apart from the tables because SQLAlchemy loads the dialects of both databases for them, and only who makes or
compares a schema needs them. Importing this adds them to `metadata`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Index, true
from sqlalchemy.sql.elements import ColumnElement

from postroom.journal.tables import actions, deliveries, is_state, metadata

__all__ = ["metadata"]


def _partial(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> None:
    Index(name, *columns, sqlite_where=where, postgresql_where=where)


_partial("deliveries_due", deliveries.c.handler, deliveries.c.due_at, where=is_state(deliveries.c.state, "ready"))
_partial(
    "deliveries_fair",
    deliveries.c.handler,
    deliveries.c.mailbox_id,
    deliveries.c.due_at,
    where=is_state(deliveries.c.state, "ready"),
)
_partial(
    "deliveries_open",
    deliveries.c.state,
    deliveries.c.handler,
    where=is_state(deliveries.c.state, "running", "dead", "discarded"),
)
_partial("deliveries_suspect", deliveries.c.state, deliveries.c.attempt, where=deliveries.c.suspect == true())
_partial("actions_due", actions.c.due_at, where=is_state(actions.c.state, "ready"))
_partial("actions_fair", actions.c.mailbox_id, actions.c.due_at, where=is_state(actions.c.state, "ready"))
_partial("actions_open", actions.c.state, where=is_state(actions.c.state, "running", "dead", "discarded"))
