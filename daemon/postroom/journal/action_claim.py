"""Claims of mail actions: one at a time a message, and of one mailbox no more than leaves the others their part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    Connection,
    Select,
    and_,
    bindparam,
    exists,
    literal_column,
    or_,
    select,
    union_all,
    update,
)

from postroom.errors import JournalError
from postroom.failpoints import reach
from postroom.journal.actions import bury, put_off
from postroom.journal.codec import action_kinds, decode_actions, micros, moment
from postroom.journal.kept import deletes, kept_by, let_go
from postroom.journal.statement import Prepared, PreparedIn, Values
from postroom.journal.tables import actions, deliveries, is_state, mailboxes, messages
from postroom.ports import ActionTask, MailboxLimit

SENDING: Final = frozenset({"reply", "forward", "send"})
"""Kinds of mail actions that send."""

_other = actions.alias("other")
_is_due = and_(is_state(actions.c.state, "ready"), actions.c.due_at <= bindparam("now"))
_first_of_its_message = ~exists().where(
    _other.c.message_id == actions.c.message_id,
    or_(
        is_state(_other.c.state, "running"),
        and_(is_state(_other.c.state, "ready"), _other.c.due_at <= bindparam("now"), _other.c.id < actions.c.id),
    ),
)


def _oldest(busy: list[BindParameter[Any]]) -> Select[Any]:
    """Select the oldest that are due, but for those of messages that are busy."""
    return (
        select(actions.c.id, mailboxes.c.address)
        .join_from(actions, messages, actions.c.message_id == messages.c.id)
        .join(mailboxes, actions.c.mailbox_id == mailboxes.c.id)
        .where(_is_due, _first_of_its_message, messages.c.graph_id.not_in(busy))
        .order_by(actions.c.due_at, actions.c.id)
        .limit(bindparam("most"))
        .offset(literal_column("0"))
    )


_DUE: Final = PreparedIn(_oldest, before=("now", "now"), after=("most",))
_DUE_IN: Final = PreparedIn(
    lambda busy: _oldest(busy).where(actions.c.mailbox_id == bindparam("mailbox")),
    before=("now", "now"),
    after=("mailbox", "most"),
)
_NEXT_MAILBOX: Final = Prepared(
    select(actions.c.mailbox_id, mailboxes.c.address)
    .join_from(actions, mailboxes, actions.c.mailbox_id == mailboxes.c.id)
    .where(_is_due, actions.c.mailbox_id > bindparam("after"))
    .order_by(actions.c.mailbox_id, actions.c.due_at)
    .limit(literal_column("1"))
    .offset(literal_column("0")),
    "now",
    "after",
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
            actions.c.message_id,
            mailboxes.c.address,
            messages.c.graph_id,
            actions.c.origin,
            actions.c.actions,
            actions.c.attempt,
            actions.c.note,
        )
        .join_from(actions, messages, actions.c.message_id == messages.c.id)
        .join(mailboxes, actions.c.mailbox_id == mailboxes.c.id)
        .where(actions.c.id.in_(items), is_state(actions.c.state, "running"))
        .order_by(actions.c.due_at, actions.c.id)
    )
)
_BESIDE: Final = Prepared(
    union_all(
        select(deliveries.c.due_at, literal_column("0").label("id"), literal_column("'[]'").label("actions")).where(
            deliveries.c.message_id == bindparam("message"), is_state(deliveries.c.state, "ready", "running")
        ),
        select(actions.c.due_at, actions.c.id, actions.c.actions).where(
            actions.c.message_id == bindparam("message"),
            actions.c.id != bindparam("the_id"),
            is_state(actions.c.state, "ready", "running"),
        ),
    ),
    "message",
    "message",
    "the_id",
)


@dataclass(slots=True)
class Served:
    """The mailbox that was served last when there was more than could be claimed; losing it costs a little fairness."""

    mailbox: int = 0


def claim(
    connection: Connection, limit: int, now: datetime, served: Served, *, busy: Sequence[str], most: MailboxLimit | None
) -> list[ActionTask]:
    """See `ports.Journal.claim_actions`. A message with an action under way counts as busy."""
    at, busy = micros(now), list(busy) or [""]
    chosen = _first(connection, limit, at, busy, most)
    if chosen is None and most is not None:
        chosen = list(_in_turn(connection, limit, at, served, busy=busy, most=most))
    if not chosen:
        return []
    _RUN.once(connection, chosen)
    reach("actions_claim.written")
    return list(_readable(connection, _CLAIMED.rows(connection, chosen), at))


def _first(
    connection: Connection, limit: int, at: int, busy: Sequence[str], most: MailboxLimit | None
) -> list[int] | None:
    """Return what is due longest; None when that is more than `most` allows, so that mailboxes are taken in turn."""
    few = limit if most is None else min(limit, most.each)
    due = _DUE.rows(connection, busy, at, at, few + (most is not None))
    counts = Counter(address for _, address in due)
    if most is None or (len(due) <= few and all(count <= most.of(address) for address, count in counts.items())):
        return [key for key, _ in due]
    return None


def _in_turn(
    connection: Connection, limit: int, at: int, served: Served, *, busy: Sequence[str], most: MailboxLimit
) -> Iterator[int]:
    """Yield what each mailbox may have, from the one behind that which was served last."""
    left = limit
    for mailbox, address in _around(connection, at, served.mailbox):
        if (room := min(most.of(address), left)) > 0:
            rows = _DUE_IN.rows(connection, busy, at, at, mailbox, room)
            yield from (key for key, _ in rows)
            served.mailbox, left = mailbox, left - len(rows)
        if left <= 0:
            return


def _around(connection: Connection, at: int, last: int) -> Iterator[tuple[int, str]]:
    """Yield the mailboxes that have something due, once around from the one behind `last`: a seek for each."""
    for after, end in ((last, None), (0, last)):
        mailbox = after
        while rows := _NEXT_MAILBOX.rows(connection, at, mailbox):
            mailbox, address = rows[0]
            if end is not None and mailbox > end:
                return
            yield mailbox, address


def _readable(connection: Connection, rows: Iterable[Values], now: int) -> Iterator[ActionTask]:
    """Yield the tasks; one that cannot be decoded is dead, so that it stops nobody else, and a mail may be kept."""
    for key, message, address, graph_id, origin, wanted, attempt, note in rows:
        try:
            todo = decode_actions(wanted)
        except JournalError as error:
            bury(connection, key, attempt, str(error), now)
            continue
        waits_until = None
        if deletes(wanted):
            if why := kept_by(connection, message):
                put_off(connection, key, attempt, why)
                continue
            waits_until = _beside(connection, key, message, wanted, now)
        yield ActionTask(key, address, graph_id, origin, todo, attempt, message, waits_until, note)


def _beside(connection: Connection, key: int, message: int, wanted: str, now: int) -> datetime | None:
    """Return when the next of all else that comes before the deletion of a message is due; None when nothing does.

    Another deletion that was put off is so no longer: what kept the mail is what this one was asked for.
    """
    mine = _turn(key, wanted)
    let_go(connection, now, actions.c.message_id == message)
    due = [at for at, other, others in _BESIDE.rows(connection, message, message, key) if _turn(other, others) < mine]
    return moment(min(due)) if due else None


def _turn(key: int, wanted: str) -> tuple[bool, bool, int]:
    """Return what orders the work on a message: what deletes it comes last, of that first what sends as well."""
    return deletes(wanted), SENDING.isdisjoint(action_kinds(wanted)), key
