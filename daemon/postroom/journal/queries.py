"""What an operator asks of the journal, as functions of a connection. Not the hot path: plain Core."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, Table, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from postroom.errors import JournalError
from postroom.journal.codec import (
    action_kinds,
    decode_actions,
    decode_message,
    decode_rules,
    decode_settled,
    moment,
    moment_or_none,
)
from postroom.journal.records import (
    ActionRecord,
    AttemptRecord,
    DeliveryRecord,
    FolderRecord,
    MailboxRecord,
    MessageDetail,
    MessageRecord,
    Summary,
)
from postroom.journal.tables import (
    LARGEST,
    NEVER,
    actions,
    attempts,
    deliveries,
    folders,
    holds,
    is_state,
    mailboxes,
    messages,
)
from postroom.model import DeliveryState, MailAction
from postroom.ports import BY_LIMIT

AnyRow = Row[*tuple[Any, ...]]
"""A row of whatever columns."""


def list_mailboxes(connection: Connection) -> list[MailboxRecord]:
    """Return every mailbox with its folders and its backlog, by address."""
    boxes: dict[int, list[FolderRecord]] = defaultdict(list)
    for row in connection.execute(select(folders).order_by(folders.c.id)):
        boxes[row.mailbox_id].append(_folder(row))
    backlog, waiting = _backlog(connection, deliveries), _backlog(connection, actions)
    found = connection.execute(select(mailboxes).order_by(mailboxes.c.address, mailboxes.c.id))
    return [
        MailboxRecord(
            row.id,
            row.tenant,
            row.address,
            tuple(boxes[row.id]),
            backlog.get(row.id, {}),
            moment_or_none(row.parked_at),
            waiting.get(row.id, {}),
        )
        for row in found
    ]


def _backlog(connection: Connection, table: Table) -> dict[int, dict[str, int]]:
    """Return mailbox -> state -> how many are not settled or dead."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    group = (table.c.mailbox_id, table.c.state)
    left = is_state(table.c.state, "ready", "running", "dead")
    for mailbox, state, count in connection.execute(select(*group, func.count()).where(left).group_by(*group)):
        found[mailbox][state] = count
    return found


def _folder(row: AnyRow) -> FolderRecord:
    return FolderRecord(
        id=row.id,
        name=row.name,
        walk=row.walk,
        mode=row.mode,
        floor=moment_or_none(row.floor),
        walk_started_at=moment(row.walk_started_at),
        last_round_at=moment_or_none(row.last_round_at),
        last_error=row.last_error,
        last_error_at=moment_or_none(row.last_error_at),
    )


def list_handlers(connection: Connection) -> list[str]:
    """Return every handler that a delivery was ever made for and is still known of."""
    return list(connection.scalars(select(deliveries.c.handler).distinct().order_by(deliveries.c.handler)))


def list_messages(
    connection: Connection, mailbox: str, state: DeliveryState | None, text: str, limit: int
) -> list[MessageRecord]:
    """Return messages, newest first; empty filters let everything through.

    They are ordered by their ids alone before they are read: the contents of all of them need not be sorted.
    """
    newest = (messages.c.received_at.desc(), messages.c.id.desc())
    query = select(messages.c.id).join(mailboxes, messages.c.mailbox_id == mailboxes.c.id)
    if mailbox:
        query = query.where(_is_address(mailbox))
    if state:
        query = query.where(or_(_has(deliveries, state), _has(actions, state)))
    if text:
        fields = (messages.c.subject, messages.c.sender)
        query = query.where(or_(*(field.icontains(text, autoescape=True) for field in fields)))
    chosen = query.order_by(*newest).limit(min(limit, LARGEST)).subquery()
    rows = connection.execute(_messages().where(messages.c.id.in_(select(chosen.c.id))).order_by(*newest)).all()
    ids = [row.id for row in rows]
    states, asked = _states(connection, deliveries.c.handler, ids), _states(connection, actions.c.origin, ids)
    withheld = _withheld(connection, ids)
    return [_message(row, states[row.id], asked[row.id], withheld[row.id]) for row in rows]


def _has(table: Table, state: DeliveryState) -> ColumnElement[bool]:
    of_it = select(table.c.id).where(table.c.message_id == messages.c.id)
    return of_it.where(is_state(table.c.state, state.value)).exists()


def _messages(*more: Any) -> Select[*tuple[Any, ...]]:
    return (
        select(messages, mailboxes.c.address, folders.c.name, *more)
        .join_from(messages, mailboxes, messages.c.mailbox_id == mailboxes.c.id)
        .join(folders, messages.c.folder_id == folders.c.id)
    )


def _states(connection: Connection, who: Column[str], message_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """Return message -> whose -> state; `who` is the column that names handlers, or origins of mail actions."""
    table = who.table
    states: dict[int, dict[str, str]] = defaultdict(dict)
    query = select(table.c.message_id, who, table.c.state).order_by(table.c.id)
    for start in range(0, len(message_ids), 500):
        part = query.where(table.c.message_id.in_(message_ids[start : start + 500]))
        for message_id, name, state in connection.execute(part):
            states[message_id][name] = state
    return states


def _withheld(connection: Connection, message_ids: Sequence[int]) -> dict[int, list[str]]:
    """Return message -> origins of its mail actions that are done but for an answer which a limit withheld."""
    found: dict[int, list[str]] = defaultdict(list)
    limited = is_state(actions.c.state, "done"), actions.c.note.contains(BY_LIMIT, autoescape=True)
    query = select(actions.c.message_id, actions.c.origin).where(*limited).order_by(actions.c.id)
    for start in range(0, len(message_ids), 500):
        part = query.where(actions.c.message_id.in_(message_ids[start : start + 500]))
        for message_id, origin in connection.execute(part):
            found[message_id].append(origin)
    return found


def _message(row: AnyRow, states: dict[str, str], asked: dict[str, str], withheld: Sequence[str] = ()) -> MessageRecord:
    return MessageRecord(
        id=row.id,
        mailbox=row.address,
        folder=row.name,
        graph_id=row.graph_id,
        internet_message_id=row.internet_message_id,
        received_at=moment(row.received_at),
        seen_at=moment(row.seen_at),
        dispatched=row.dispatched,
        subject=row.subject,
        sender=row.sender,
        deliveries=states,
        rules=tuple(decode_rules(row.rules)) if row.rules else (),
        settled=None if row.settled is None else decode_settled(row.settled),
        actions=asked,
        withheld=tuple(withheld),
    )


def find_messages(connection: Connection, key: str) -> list[MessageDetail]:
    """Return what has this id: ours, Graph's, or the internet message id, which several mailboxes may have."""
    for matches in _keys(key):
        rows = connection.execute(_messages().where(matches).order_by(messages.c.id)).all()
        if rows:
            return [_detail(connection, row) for row in rows]
    return []


def _keys(key: str) -> list[ColumnElement[bool]]:
    texts = [messages.c.graph_id == key, messages.c.internet_message_id == key]
    if key.isascii() and key.isdecimal() and len(key) < 10:  # noqa: PLR2004 - our ids fit 32 bits
        return [messages.c.id == int(key), *texts]
    return texts


def _detail(connection: Connection, row: AnyRow) -> MessageDetail:
    records, asked = list_deliveries(connection, _of_message(row.id)), _actions(connection, row.id)
    states = {record.handler: record.state for record in records}
    return MessageDetail(
        record=_message(
            row, states, {each.origin: each.state for each in asked}, _withheld(connection, [row.id])[row.id]
        ),
        snapshot=decode_message(row.snapshot) if row.snapshot else None,
        rules=decode_rules(row.rules) if row.rules else {},
        deliveries=tuple(records),
        attempts=_attempts(connection, row.id),
        actions=asked,
    )


def _of_message(message_id: int) -> ColumnElement[bool]:
    return deliveries.c.message_id == message_id


def _attempts(connection: Connection, message_id: int) -> dict[int, tuple[AttemptRecord, ...]]:
    query = select(attempts).join(deliveries, attempts.c.delivery_id == deliveries.c.id).where(_of_message(message_id))
    found: dict[int, tuple[AttemptRecord, ...]] = defaultdict(tuple)
    for row in connection.execute(query.order_by(attempts.c.id)):
        times = (moment_or_none(row.started_at), moment_or_none(row.ended_at))
        found[row.delivery_id] += (AttemptRecord(row.attempt, *times, row.outcome, row.error),)
    return dict(found)


def _actions(connection: Connection, message_id: int) -> tuple[ActionRecord, ...]:
    rows = connection.execute(select(actions).where(actions.c.message_id == message_id).order_by(actions.c.id))
    return tuple(
        ActionRecord(
            id=row.id,
            origin=row.origin,
            actions=_decoded(row.actions),
            state=row.state,
            attempt=row.attempt,
            due_at=None if row.due_at == NEVER else moment(row.due_at),
            settled_at=moment_or_none(row.settled_at),
            error=row.error,
            note=row.note,
        )
        for row in rows
    )


def _decoded(recorded: str) -> tuple[MailAction, ...]:
    """Return mail actions, and none where they cannot be read: their error then says so, and the rest is shown."""
    try:
        return decode_actions(recorded)
    except JournalError:
        return ()


def list_deliveries(
    connection: Connection, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[DeliveryRecord]:
    """Return the deliveries that fit all `conditions`; newest first when limited, else in their order."""
    query = (
        select(deliveries, mailboxes.c.address, messages.c.subject, holds.c.reason)
        .join_from(deliveries, messages, deliveries.c.message_id == messages.c.id)
        .join(mailboxes, deliveries.c.mailbox_id == mailboxes.c.id)
        .outerjoin(holds, deliveries.c.handler == holds.c.handler)
        .where(*conditions)
        .order_by(deliveries.c.id if limit is None else deliveries.c.id.desc())
        .limit(None if limit is None else min(limit, LARGEST))
    )
    return [_delivery(row) for row in connection.execute(query)]


def _delivery(row: AnyRow) -> DeliveryRecord:
    return DeliveryRecord(
        id=row.id,
        message_id=row.message_id,
        mailbox=row.address,
        subject=row.subject,
        handler=row.handler,
        rule=row.rule,
        state=row.state,
        attempt=row.attempt,
        granted=row.granted,
        suspect=row.suspect,
        due_at=moment(row.due_at),
        started_at=moment_or_none(row.started_at),
        settled_at=moment_or_none(row.settled_at),
        error=row.error,
        note=row.note,
        held=(row.reason or "") if row.state == DeliveryState.READY else "",
    )


def filters(state: DeliveryState | None, handler: str, mailbox: str) -> list[ColumnElement[bool]]:
    """Return conditions on deliveries; empty filters make none."""
    found: list[ColumnElement[bool]] = []
    if state:
        found.append(is_state(deliveries.c.state, state.value))
    if handler:
        found.append(deliveries.c.handler == handler)
    if mailbox:
        owners = select(mailboxes.c.id).where(_is_address(mailbox))
        found.append(deliveries.c.mailbox_id.in_(owners))
    return found


def _is_address(mailbox: str) -> ColumnElement[bool]:
    """Compare as Exchange does, which does not tell case apart; the journal holds what adopting put into it."""
    return func.lower(mailboxes.c.address) == mailbox.strip().lower()


def summarise(connection: Connection) -> Summary:
    """Return the counts of everything there is."""
    by_handler = (deliveries.c.handler, deliveries.c.state)
    found = {
        (handler, state): count
        for handler, state, count in connection.execute(select(*by_handler, func.count()).group_by(*by_handler))
    }
    kinds: Counter[tuple[str, str]] = Counter()
    by_text = (actions.c.actions, actions.c.state)
    for text, state, count in connection.execute(select(*by_text, func.count()).group_by(*by_text)):
        for kind in action_kinds(text):
            kinds[kind, state] += count
    total = connection.scalar(select(func.count()).select_from(messages)) or 0
    return Summary(total, dict(sorted(found.items())), dict(sorted(kinds.items())))
