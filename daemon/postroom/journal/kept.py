"""Mails that are kept from deletion: what was given up of one may be tried again, and finds nothing once it is deleted.

Such a deletion is never due, so that it costs nothing however many there are, until an operator's word on what was
given up makes it due: then it is asked again what keeps the mail.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, literal_column, select, union_all, update
from sqlalchemy.sql.elements import ColumnElement

from postroom.journal.codec import action_kinds, decode_rules
from postroom.journal.statement import Prepared
from postroom.journal.tables import NEVER, actions, deliveries, is_state, messages

_RULES: Final = Prepared(
    # Locked, as an operator's word locks it: one that comes between our look and our verdict would be overheard.
    select(messages.c.rules).where(messages.c.id == bindparam("message")).with_for_update(),
    "message",
)
_GIVEN_UP: Final = Prepared(
    union_all(
        select(deliveries.c.id, deliveries.c.handler.label("who"), literal_column("'[]'").label("actions")).where(
            deliveries.c.message_id == bindparam("message"), is_state(deliveries.c.state, "dead")
        ),
        select(literal_column("0").label("id"), actions.c.origin, actions.c.actions).where(
            actions.c.message_id == bindparam("message"), is_state(actions.c.state, "dead")
        ),
    ),
    "message",
    "message",
)
_ASKED: Final = Prepared(
    select(actions.c.origin, actions.c.actions).where(
        actions.c.message_id == bindparam("message"), is_state(actions.c.state, "ready", "running", "done", "dead")
    ),
    "message",
)


def deletes(wanted: str) -> bool:
    """Say whether recorded mail actions delete the mail."""
    return "delete" in action_kinds(wanted)


def kept_by(connection: Connection, message: int) -> str:
    """Say in words what keeps a message from being deleted: a dead letter, or dead mail actions; empty for nothing.

    A dead letter whose own rule deletes the mail for it (`on_failure`) keeps it from nobody.
    """
    [(rules,)] = _RULES.rows(connection, message)
    given_up = [(key, who) for key, who, wanted in _GIVEN_UP.rows(connection, message, message) if not deletes(wanted)]
    if not given_up:
        return ""
    expected = _expected(connection, message, rules)
    words = [f"delivery {key} ({who})" for key, who in given_up if key and who not in expected]
    words += [f"mail actions of {who}" for key, who in given_up if not key]
    return f"kept until what was given up is retried or discarded: {', '.join(words)}" if words else ""


def _expected(connection: Connection, message: int, rules: str | None) -> set[str]:
    """Return the handlers for whose failure a rule has asked for the deletion."""
    named = decode_rules(rules) if rules else {}
    asked = {origin for origin, wanted in _ASKED.rows(connection, message) if deletes(wanted)}
    return {who for name, handlers in named.items() if f"rule {name} on_failure" in asked for who in handlers}


def let_go(connection: Connection, now: int, *of_them: ColumnElement[bool]) -> None:
    """Make due `now` (microseconds) those of the mail actions that were put off until an operator has spoken."""
    put_off = is_state(actions.c.state, "ready"), actions.c.due_at == NEVER
    connection.execute(update(actions).where(*of_them, *put_off).values(due_at=now))
