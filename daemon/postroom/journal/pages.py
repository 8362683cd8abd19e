"""Folders and their pages: what is new in a page goes in together with the link that follows the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final

from sqlalchemy import BigInteger, Connection, Text, bindparam, insert, literal_column, select, update

from postroom.errors import JournalError
from postroom.journal import actions
from postroom.journal.codec import LONGEST_LABEL, clean, decode_rules, encode_message, encode_rules, micros
from postroom.journal.statement import Prepared, PreparedIn, Values
from postroom.journal.tables import deliveries, folders, messages
from postroom.model import DeliveryState
from postroom.ports import MatchedRule, NewMessage, PageCommit, PageResult

Had = frozenset[tuple[str, str]]
"""(Graph id, handler) of deliveries there are already."""

_MAILBOX: Final = Prepared(select(folders.c.mailbox_id).where(folders.c.id == bindparam("folder")), "folder")
_ADVANCE: Final = Prepared(
    update(folders)
    .where(folders.c.id == bindparam("folder"))
    .values(
        {
            "link": bindparam("new_link"),
            "walk": bindparam("new_walk"),
            "floor": bindparam("new_floor"),
            "mode": bindparam("new_mode"),
            "last_round_at": bindparam("new_at"),
            "last_error": literal_column("''"),
        }
    ),
    "new_link",
    "new_walk",
    "new_floor",
    "new_mode",
    "new_at",
    "folder",
)
_STORED: Final = PreparedIn(
    lambda items: select(messages.c.graph_id, messages.c.id, messages.c.folder_id, messages.c.rules).where(
        messages.c.mailbox_id == bindparam("mailbox"), messages.c.graph_id.in_(items)
    ),
    before=("mailbox",),
)
_HAD: Final = PreparedIn(
    lambda items: select(deliveries.c.message_id, deliveries.c.handler).where(deliveries.c.message_id.in_(items))
)
_MESSAGE: Final = (
    "mailbox_id",
    "folder_id",
    "graph_id",
    "internet_message_id",
    "received_at",
    "seen_at",
    "dispatched",
    "subject",
    "sender",
    "rules",
    "snapshot",
)
_ADD_MESSAGE: Final = Prepared(insert(messages).values({name: bindparam(name) for name in _MESSAGE}), *_MESSAGE)
_ADD_DELIVERIES: Final = PreparedIn(
    lambda items: insert(deliveries).from_select(
        ["message_id", "mailbox_id", "handler", "rule", "state", "due_at", "settled_at", "error"],
        select(
            messages.c.id,
            messages.c.mailbox_id,
            bindparam("handler", type_=Text),
            bindparam("rule", type_=Text),
            bindparam("state", type_=Text),
            bindparam("due_at", type_=BigInteger),
            bindparam("settled_at", type_=BigInteger),
            bindparam("error", type_=Text),
        )
        .where(messages.c.mailbox_id == bindparam("mailbox"), messages.c.graph_id.in_(items))
        .order_by(messages.c.id),
    ),
    before=("handler", "rule", "state", "due_at", "settled_at", "error", "mailbox"),
)
_MOVE_REMEMBERED: Final = Prepared(
    update(messages).where(messages.c.id == bindparam("the_id")).values(folder_id=bindparam("new_folder")),
    "new_folder",
    "the_id",
)
_MOVE: Final = Prepared(
    update(messages)
    .where(messages.c.id == bindparam("the_id"))
    .values(
        {
            "folder_id": bindparam("new_folder"),
            "dispatched": bindparam("new_dispatched"),
            "rules": bindparam("new_rules"),
            "snapshot": bindparam("new_snapshot"),
        }
    ),
    "new_folder",
    "new_dispatched",
    "new_rules",
    "new_snapshot",
    "the_id",
)


def mailbox_of(connection: Connection, folder: int) -> int:
    """Return the mailbox's id; raises JournalError for a folder that was never adopted."""
    for (mailbox,) in _MAILBOX.rows(connection, folder):
        return int(mailbox)
    raise JournalError(f"The journal has no folder {folder}.", remedy="This is a defect: please report it.")


def known(connection: Connection, folder: int, ids: Sequence[str]) -> frozenset[str]:
    """See `ports.Journal.known`."""
    stored = _STORED.rows(connection, ids, mailbox_of(connection, folder))
    return frozenset(graph_id for graph_id, _, seen_in, _ in stored if seen_in == folder)


def commit_page(connection: Connection, page: PageCommit) -> PageResult:
    """See `ports.Journal.commit_page`."""
    mailbox = mailbox_of(connection, page.folder)
    floor = None if page.floor is None else micros(page.floor)
    _ADVANCE.once(connection, page.link, page.walk, floor, page.mode, micros(page.at), page.folder)
    by_id = {new.message.id: new for new in page.messages}
    stored = {row[0]: row for row in _STORED.rows(connection, list(by_id), mailbox)}
    added = [new for graph_id, new in by_id.items() if graph_id not in stored]
    moved = [(row, by_id[graph_id]) for graph_id, row in stored.items() if row[2] != page.folder]
    seen = micros(page.at)
    _ADD_MESSAGE.many(connection, [_message_row(new, mailbox, page.folder, seen) for new in added])
    had = _move(connection, page.folder, moved)
    routed = [new for new in (*added, *(new for _, new in moved)) if new.dispatch and new.rules]
    return PageResult(
        fresh=len(added) + len(moved),
        known=len(stored) - len(moved),
        deliveries=_deliver(connection, mailbox, routed, had, seen),
        actions=_act(connection, mailbox, routed, page.at),
    )


def _message_row(new: NewMessage, mailbox: int, folder: int, seen: int) -> Values:
    message = new.message
    return (
        mailbox,
        folder,
        message.id,
        clean(message.internet_message_id, LONGEST_LABEL),
        micros(message.received_at),
        seen,
        new.dispatch,
        clean(message.subject, LONGEST_LABEL),
        clean(message.sender.address, LONGEST_LABEL),
        encode_rules(_handlers(new.rules)) if new.dispatch else None,
        encode_message(message) if new.dispatch else None,
    )


def _handlers(rules: Iterable[MatchedRule]) -> dict[str, tuple[str, ...]]:
    return {rule.name: rule.handlers for rule in rules}


def _move(connection: Connection, folder: int, moved: Sequence[tuple[Values, NewMessage]]) -> Had:
    """Bring messages here that were last seen in another folder; returns what handlers they went to there."""
    if not moved:
        return frozenset()
    _MOVE_REMEMBERED.many(connection, [(folder, key) for (_, key, *_), new in moved if not new.dispatch])
    routed = {key: (rules, new) for (_, key, _, rules), new in moved if new.dispatch}
    _MOVE.many(connection, [_move_row(folder, key, rules, new) for key, (rules, new) in routed.items()])
    had = _HAD.rows(connection, list(routed))
    return frozenset((routed[message_id][1].message.id, handler) for message_id, handler in had)


def _move_row(folder: int, key: int, rules: str | None, new: NewMessage) -> Values:
    """What matched before stays in the rules: its deliveries may still be under way."""
    before: Mapping[str, tuple[str, ...]] = decode_rules(rules) if rules else {}
    return (folder, True, encode_rules({**before, **_handlers(new.rules)}), encode_message(new.message), key)


def _deliver(connection: Connection, mailbox: int, routed: Iterable[NewMessage], had: Had, at: int) -> int:
    """Insert deliveries, those alike in one statement, from the rows of their messages: their ids need not be read."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for new in routed:
        graph_id = new.message.id
        for handler, rule in _wanted(new.rules).items():
            if (graph_id, handler) not in had:
                alike.setdefault((handler, rule, new.failure), []).append(graph_id)
    for (handler, rule, failure), ids in alike.items():
        state, settled = (DeliveryState.DEAD, at) if failure else (DeliveryState.READY, None)
        _ADD_DELIVERIES.once(connection, ids, handler, rule, state.value, at, settled, clean(failure), mailbox)
    return sum(len(ids) for ids in alike.values())


def _wanted(rules: Iterable[MatchedRule]) -> dict[str, str]:
    """Return handler -> the first rule that names it."""
    wanted: dict[str, str] = {}
    for rule in rules:
        for handler in rule.handlers:
            wanted.setdefault(handler, rule.name)
    return wanted


def _act(connection: Connection, mailbox: int, routed: Iterable[NewMessage], at: datetime) -> int:
    """Record the actions of rules that name no handler; where rules could not be evaluated nothing is certain."""
    acting = {new.message.id: new for new in routed for rule in new.rules if rule.actions and not new.failure}
    requests = {
        (message_id, f"rule {rule.name} then"): (mailbox, rule.actions)
        for graph_id, message_id, _, _ in sorted(_STORED.rows(connection, list(acting), mailbox), key=itemgetter(1))
        for rule in acting[graph_id].rules
    }
    return actions.record(connection, requests, at)


def fail_folder(connection: Connection, folder: int, error: str, at: datetime) -> None:
    """See `ports.Journal.folder_failed`."""
    change = {"last_error": clean(error), "last_error_at": micros(at)}
    connection.execute(update(folders).where(folders.c.id == folder), change)


def restart_walk(connection: Connection, folder: int, floor: datetime | None, at: datetime) -> None:
    """See `ports.Journal.restart_walk`."""
    change = {
        "link": None,
        "walk": "full",
        "walk_started_at": micros(at),
        "floor": None if floor is None else micros(floor),
    }
    connection.execute(update(folders).where(folders.c.id == folder), change)
