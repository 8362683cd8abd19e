"""Mail actions: recorded once for each origin, and settled; `action_claim` has how they are claimed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, literal_column, select, update

from postroom.failpoints import reach
from postroom.journal.codec import clean, encode_actions, micros
from postroom.journal.statement import Prepared, PreparedIn
from postroom.journal.tables import NEVER, actions, is_state
from postroom.model import MailAction
from postroom.ports import ActionResult

Requests = dict[tuple[int, str], tuple[int, tuple[MailAction, ...]]]
"""(message, origin) -> (mailbox, mail actions)."""

_RECORDED: Final = PreparedIn(
    lambda items: select(actions.c.message_id, actions.c.origin).where(actions.c.message_id.in_(items))
)
_ASKED: Final = PreparedIn(
    lambda items: select(actions.c.message_id, actions.c.origin, actions.c.actions).where(
        actions.c.message_id.in_(items)
    )
)
_ADD: Final = Prepared(
    insert(actions).values(
        {
            "message_id": bindparam("message_id"),
            "mailbox_id": bindparam("mailbox_id"),
            "origin": bindparam("origin"),
            "actions": bindparam("actions"),
            "state": literal_column("'ready'"),
            "due_at": bindparam("due_at"),
        }
    ),
    "message_id",
    "mailbox_id",
    "origin",
    "actions",
    "due_at",
)
_SETTLE: Final = Prepared(
    update(actions)
    .where(
        actions.c.id == bindparam("the_id"),
        is_state(actions.c.state, "running"),
        actions.c.attempt == bindparam("the_attempt"),
    )
    .values(
        {
            "state": bindparam("new_state"),
            "due_at": bindparam("new_due_at"),
            "settled_at": bindparam("new_settled_at"),
            "error": bindparam("new_error"),
            "note": bindparam("new_note"),
            "attempt": bindparam("new_attempt"),
        }
    ),
    "new_state",
    "new_due_at",
    "new_attempt",
    "new_settled_at",
    "new_error",
    "new_note",
    "the_id",
    "the_attempt",
)


def record(
    connection: Connection, requests: Mapping[tuple[int, str], tuple[int, tuple[MailAction, ...]]], at: datetime
) -> int:
    """Record those requests whose (message, origin) is new; returns how many."""
    if not requests:
        return 0
    recorded = set(_RECORDED.rows(connection, sorted({m for m, _ in requests})))
    due = micros(at)
    rows = [
        (message_id, mailbox, origin, encode_actions(wanted), due)
        for (message_id, origin), (mailbox, wanted) in requests.items()
        if wanted and (message_id, origin) not in recorded
    ]
    _ADD.many(connection, rows)
    return len(rows)


def asked(connection: Connection, message_ids: Sequence[int]) -> Mapping[int, Mapping[str, str]]:
    """Return origin -> mail actions, as they are recorded, for each of these messages."""
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for message_id, origin, wanted in _ASKED.rows(connection, message_ids):
        found[message_id][origin] = wanted
    return found


def bury(connection: Connection, key: int, attempt: int, error: str, now: int) -> None:
    """Make dead what is running and cannot be read, at `now` (microseconds)."""
    _SETTLE.once(connection, "dead", now, attempt, now, clean(error), "", key, attempt)


def put_off(connection: Connection, key: int, attempt: int, note: str) -> None:
    """Put what is running off until an operator has spoken, at no cost."""
    _SETTLE.once(connection, "ready", NEVER, attempt - 1, None, "", clean(note), key, attempt)


def settle(connection: Connection, results: Sequence[ActionResult]) -> None:
    """See `ports.Journal.settle_actions`. A result of an attempt that is no longer running changes nothing."""
    _SETTLE.many(connection, [_result_row(result) for result in results])
    reach("actions_settlement.written")


def _result_row(result: ActionResult) -> tuple[Any, ...]:
    at = micros(result.at)
    again = result.state == "ready"
    return (
        result.state,
        micros(result.due_at) if again and result.due_at else at,
        result.task.attempt if result.counted else result.task.attempt - 1,
        None if again else at,
        clean(result.error),
        clean(result.note),
        result.task.id,
        result.task.attempt,
    )
