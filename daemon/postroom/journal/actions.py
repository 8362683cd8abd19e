"""Mail actions: recorded once for each origin, claimed one a message at a time, settled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, exists, insert, literal_column, or_, select, update

from postroom.errors import JournalError
from postroom.failpoints import reach
from postroom.journal.codec import clean, decode_actions, encode_actions, micros
from postroom.journal.statement import Prepared, PreparedIn, Values
from postroom.journal.tables import actions, is_state, mailboxes, messages
from postroom.model import MailAction
from postroom.ports import ActionResult, ActionTask

Requests = dict[tuple[int, str], tuple[int, tuple[MailAction, ...]]]
"""(message, origin) -> (mailbox, mail actions)."""

_RECORDED: Final = PreparedIn(
    lambda items: select(actions.c.message_id, actions.c.origin).where(actions.c.message_id.in_(items))
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
_other = actions.alias("other")
_first_of_its_message = ~exists().where(
    _other.c.message_id == actions.c.message_id,
    or_(
        is_state(_other.c.state, "running"),
        and_(is_state(_other.c.state, "ready"), _other.c.due_at <= bindparam("now"), _other.c.id < actions.c.id),
    ),
)
_DUE: Final = PreparedIn(
    lambda items: (
        select(actions.c.id)
        .join_from(actions, messages, actions.c.message_id == messages.c.id)
        .where(is_state(actions.c.state, "ready"), actions.c.due_at <= bindparam("now"))
        .where(_first_of_its_message, messages.c.graph_id.not_in(items))
        .order_by(actions.c.due_at, actions.c.id)
        .limit(bindparam("most"))
        .offset(literal_column("0"))
    ),
    before=("now", "now"),
    after=("most",),
)
_RUN: Final = PreparedIn(
    lambda items: (
        update(actions)
        .where(actions.c.id.in_(items), is_state(actions.c.state, "ready"))
        .values({"state": literal_column("'running'"), "attempt": actions.c.attempt + literal_column("1")})
    )
)
_CLAIMED: Final = PreparedIn(
    lambda items: (
        select(
            actions.c.id,
            mailboxes.c.address,
            messages.c.graph_id,
            actions.c.origin,
            actions.c.actions,
            actions.c.attempt,
        )
        .join_from(actions, messages, actions.c.message_id == messages.c.id)
        .join(mailboxes, actions.c.mailbox_id == mailboxes.c.id)
        .where(actions.c.id.in_(items), is_state(actions.c.state, "running"))
        .order_by(actions.c.due_at, actions.c.id)
    )
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


def claim(connection: Connection, limit: int, now: datetime, busy: Sequence[str]) -> list[ActionTask]:
    """See `ports.Journal.claim_actions`. A message with an action under way counts as busy."""
    at = micros(now)
    chosen = [key for (key,) in _DUE.rows(connection, list(busy) or [""], at, at, limit)]
    if not chosen:
        return []
    _RUN.once(connection, chosen)
    reach("actions_claim.written")
    return list(_readable(connection, _CLAIMED.rows(connection, chosen), at))


def _readable(connection: Connection, rows: Iterable[Values], now: int) -> Iterator[ActionTask]:
    """Yield the tasks; one that cannot be decoded is dead, so that it stops nobody else."""
    for key, address, graph_id, origin, wanted, attempt in rows:
        try:
            task = ActionTask(key, address, graph_id, origin, decode_actions(wanted), attempt)
        except JournalError as error:
            _SETTLE.once(connection, "dead", now, attempt, now, clean(str(error)), "", key, attempt)
            continue
        yield task


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
