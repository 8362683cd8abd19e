"""What was sent and what is being sent: one row for each mail of ours, and whom it answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, insert, literal_column, select, update

from postroom.failpoints import reach
from postroom.journal.codec import clean, micros, moment, moment_or_none
from postroom.journal.statement import Prepared, PreparedIn
from postroom.journal.tables import correspondents, is_state, mailboxes, sends
from postroom.ports import Busy, Refusal, SendPlan, SendRecord, Traffic, Windows

_COLUMNS: Final = ("key", "mailbox", "conversation", "state", "at")
_ADD: Final = Prepared(insert(sends).values({name: bindparam(name) for name in _COLUMNS}), *_COLUMNS)
_WHOM: Final = ("key", "address", "mailbox", "at")
_ADD_WHOM: Final = Prepared(insert(correspondents).values({name: bindparam(name) for name in _WHOM}), *_WHOM)
_READ: Final = Prepared(
    select(sends.c.state, sends.c.at, sends.c.draft_id, sends.c.note, sends.c.tried_at).where(
        sends.c.key == bindparam("key")
    ),
    "key",
)
_NOTE: Final = Prepared(
    update(sends)
    .where(sends.c.key == bindparam("the_key"))
    .values(
        {
            "state": bindparam("new_state"),
            "draft_id": bindparam("new_draft_id"),
            "note": bindparam("new_note"),
            "tried_at": bindparam("new_tried_at"),
        }
    ),
    "new_state",
    "new_draft_id",
    "new_note",
    "new_tried_at",
    "the_key",
)
_LOCK: Final = Prepared(
    # Counting is by mailbox, and so are those who count; messages and deliveries that refer to it are not kept waiting.
    select(mailboxes.c.id)
    .where(mailboxes.c.address == bindparam("mailbox"))
    .order_by(mailboxes.c.id)
    .with_for_update(key_share=True),
    "mailbox",
)
_OF_MAILBOX: Final = Prepared(
    select(func.count()).where(sends.c.mailbox == bindparam("mailbox"), sends.c.at > bindparam("since")),
    "mailbox",
    "since",
)
_OF_CONVERSATION: Final = Prepared(
    select(func.count()).where(
        sends.c.mailbox == bindparam("mailbox"),
        sends.c.conversation == bindparam("conversation"),
        sends.c.at > bindparam("since"),
    ),
    "mailbox",
    "conversation",
    "since",
)
_TO_ADDRESS: Final = Prepared(
    select(func.count()).where(
        correspondents.c.mailbox == bindparam("mailbox"),
        correspondents.c.address == bindparam("address"),
        correspondents.c.at > bindparam("since"),
    ),
    "mailbox",
    "address",
    "since",
)
_OLD: Final = Prepared(
    select(sends.c.key)
    .where(sends.c.at < bindparam("before"), ~is_state(sends.c.state, "drafted"))
    .order_by(sends.c.at, sends.c.key)
    .limit(bindparam("most"))
    .offset(literal_column("0")),
    "before",
    "most",
)
_FORGET: Final = (
    PreparedIn(lambda items: delete(sends).where(sends.c.key.in_(items))),
    PreparedIn(lambda items: delete(correspondents).where(correspondents.c.key.in_(items))),
)


def read(connection: Connection, key: str) -> SendRecord | None:
    """See `ports.Journal.send_record`."""
    for state, at, draft_id, note, tried_at in _READ.rows(connection, key):
        return SendRecord(key, state, moment(at), draft_id, note, moment_or_none(tried_at))
    return None


def reserve(
    connection: Connection,
    plan: SendPlan,
    windows: Windows,
    decide: Callable[[Traffic], Refusal | Busy | None],
    at: datetime,
) -> SendRecord | Refusal | Busy:
    """See `ports.Journal.reserve_send`."""
    _LOCK.rows(connection, plan.mailbox)
    if (known := read(connection, plan.key)) is not None:
        return known
    if (objection := decide(_traffic(connection, plan, windows))) is not None:
        return objection
    now = micros(at)
    _ADD.once(connection, plan.key, plan.mailbox, clean(plan.conversation), "reserved", now)
    whom = dict.fromkeys(clean(address) for address in plan.correspondents)
    _ADD_WHOM.many(connection, [(plan.key, address, plan.mailbox, now) for address in whom])
    reach("reservation.written")
    return SendRecord(plan.key, "reserved", at)


def note(connection: Connection, record: SendRecord) -> None:
    """See `ports.Journal.note_send`."""
    tried_at = None if record.tried_at is None else micros(record.tried_at)
    _NOTE.once(connection, record.state, record.draft_id, clean(record.note), tried_at, record.key)
    if record.state == "sent":
        reach("sent.written")
    else:
        reach("draft.written")


def forget(connection: Connection, before: datetime, limit: int) -> int:
    """See `ports.Journal.forget_sends`."""
    old = [key for (key,) in _OLD.rows(connection, micros(before), limit)]
    for statement in _FORGET if old else ():
        statement.once(connection, old)
    if old:
        reach("forgetting.written")
    return len(old)


def _traffic(connection: Connection, plan: SendPlan, windows: Windows) -> Traffic:
    since = micros(windows.correspondent)
    return Traffic(
        max((_count(connection, _TO_ADDRESS, plan.mailbox, one, since) for one in plan.correspondents), default=0),
        _count(connection, _OF_CONVERSATION, plan.mailbox, plan.conversation, micros(windows.conversation))
        if plan.conversation
        else 0,
        _count(connection, _OF_MAILBOX, plan.mailbox, micros(windows.mailbox)),
    )


def _count(connection: Connection, statement: Prepared, *values: str | int) -> int:
    return int(statement.rows(connection, *values)[0][0])
