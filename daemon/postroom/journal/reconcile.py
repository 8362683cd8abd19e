"""What the journal says of a folder when it is held against Graph's listing."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, Select, select, update

from postroom.failpoints import reach
from postroom.journal.codec import decode_rules, micros, moment
from postroom.journal.records import AccountRecord
from postroom.journal.tables import actions, deliveries, folders, is_state, messages

BY_WEIGHT: Final = ("dead", "running", "ready", "discarded", "done")
"""States; a message counts under the first of them that any of its deliveries, or mail actions not done, is in."""


def note(connection: Connection, folder: int, at: datetime) -> None:
    """See `ports.Journal.reconciled`."""
    connection.execute(update(folders).where(folders.c.id == folder).values(reconciled_at=micros(at)))
    reach("reconciliation.written")


def account(connection: Connection, folder: int, since: datetime, until: datetime) -> dict[str, AccountRecord]:
    """Return Graph's id -> how it stands with each message last seen in the folder and received in the period."""
    query = (
        select(
            messages.c.graph_id,
            messages.c.received_at,
            messages.c.dispatched,
            messages.c.rules,
            messages.c.settled,
            deliveries.c.state,
        )
        .join_from(messages, deliveries, deliveries.c.message_id == messages.c.id, isouter=True)
        .where(messages.c.folder_id == folder, messages.c.received_at >= micros(since))
        .where(messages.c.received_at < micros(until))
        .order_by(messages.c.id)
    )
    received: dict[str, int] = {}
    states: dict[str, list[str]] = defaultdict(list)
    for graph_id, at, dispatched, rules, settled, state in connection.execute(query):
        received[graph_id] = at
        states[graph_id] += [state] if state is not None else _without(dispatched, rules, settled)
    for graph_id, state in connection.execute(_actions(folder, since, until)):
        states[graph_id].append(state)
    return {key: AccountRecord(moment(at), min(states[key], key=_weight)) for key, at in received.items()}


def _actions(folder: int, since: datetime, until: datetime) -> Select[str, str]:
    """Choose the mail actions that are not done: their mail is not handled, whatever its deliveries say."""
    return (
        select(messages.c.graph_id, actions.c.state)
        .join_from(actions, messages, actions.c.message_id == messages.c.id)
        .where(is_state(actions.c.state, "ready", "running", "dead", "discarded"), messages.c.folder_id == folder)
        .where(messages.c.received_at >= micros(since), messages.c.received_at < micros(until))
    )


def _without(dispatched: bool, rules: str | None, settled: str | None) -> list[str]:  # noqa: FBT001 - a column
    """Say how it stands with a message that has no deliveries, or none any more because it was pruned."""
    if not dispatched:
        return ["remembered"]
    kept = msgspec.json.decode(settled, type=dict[str, str]) if settled else {}
    return [state for name, state in kept.items() if " " not in name or state != "done"] or [
        "no handler" if _names(rules) else "no rule"
    ]


def _names(rules: str | None) -> bool:
    return bool(rules and decode_rules(rules))


def _weight(state: str) -> int:
    return BY_WEIGHT.index(state) if state in BY_WEIGHT else len(BY_WEIGHT)
