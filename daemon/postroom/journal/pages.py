"""Folders and their pages: what is new in a page goes in together with the link that follows the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, case, insert, literal_column, select, update

from postroom.errors import JournalError
from postroom.failpoints import reach
from postroom.journal import actions
from postroom.journal.codec import clean, decode_rules, encode_actions, encode_rules, micros
from postroom.journal.deliver import Routed, deliver, handlers_of
from postroom.journal.ids import Ids
from postroom.journal.prepare import PreparedMessage, handlers_named
from postroom.journal.statement import Prepared, PreparedIn, Values
from postroom.journal.tables import folders, messages
from postroom.model import DeliveryState
from postroom.ports import ROUTING, MatchedRule, PageCommit, PageResult

_MAILBOX: Final = Prepared(select(folders.c.mailbox_id).where(folders.c.id == bindparam("folder")), "folder")
_ADVANCE: Final = Prepared(
    update(folders)
    .where(folders.c.id == bindparam("folder"))
    .values(
        {
            "graph_id": bindparam("new_graph_id"),
            "link": bindparam("new_link"),
            "walk": bindparam("new_walk"),
            "floor": bindparam("new_floor"),
            "mode": bindparam("new_mode"),
            "last_round_at": bindparam("new_at"),
            "last_error": literal_column("''"),
        }
    ),
    "new_graph_id",
    "new_link",
    "new_walk",
    "new_floor",
    "new_mode",
    "new_at",
    "folder",
)
_WALKED: Final = Prepared(
    update(folders)
    .where(folders.c.id == bindparam("folder"))
    .values(
        {
            "last_round_at": bindparam("new_at"),
            "last_error": case(
                (folders.c.last_error_at > bindparam("at"), folders.c.last_error), else_=literal_column("''")
            ),
        }
    ),
    "new_at",
    "at",
    "folder",
)
_STORED: Final = PreparedIn(
    lambda items: select(messages.c.graph_id, messages.c.id, messages.c.folder_id, messages.c.rules).where(
        messages.c.mailbox_id == bindparam("mailbox"), messages.c.graph_id.in_(items)
    ),
    before=("mailbox",),
)
_LOCKED: Final = PreparedIn(
    lambda items: (
        select(messages.c.graph_id, messages.c.id, messages.c.folder_id, messages.c.rules)
        .where(messages.c.id.in_(items))
        .order_by(messages.c.id)
        .with_for_update()
    )
)
_MESSAGE: Final = (
    "id",
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
_IDS: Final = Ids(messages)
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
            "internet_message_id": bindparam("new_message_id"),
            "received_at": bindparam("new_received_at"),
            "dispatched": bindparam("new_dispatched"),
            "subject": bindparam("new_subject"),
            "sender": bindparam("new_sender"),
            "rules": bindparam("new_rules"),
            "snapshot": bindparam("new_snapshot"),
        }
    ),
    "new_folder",
    "new_message_id",
    "new_received_at",
    "new_dispatched",
    "new_subject",
    "new_sender",
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


def commit_page(connection: Connection, page: PageCommit, prepared: Mapping[str, PreparedMessage]) -> PageResult:
    """See `ports.Journal.commit_page`; `prepared` are the page's messages."""
    mailbox = mailbox_of(connection, page.folder)
    floor = None if page.floor is None else micros(page.floor)
    at = micros(page.at)
    if page.advance:
        _ADVANCE.once(connection, page.graph_id, page.link, page.walk, floor, page.mode, at, page.folder)
    stored = _stored(connection, mailbox, page.folder, list(prepared))
    added = [new for graph_id, new in prepared.items() if graph_id not in stored]
    moved = [(row, prepared[graph_id]) for graph_id, row in stored.items() if row[2] != page.folder or page.again]
    routed = [*_add(connection, mailbox, page.folder, added), *_move(connection, page.folder, moved)]
    made, claimed = deliver(connection, mailbox, routed, page.room, page.at)
    asked = actions.record(connection, _due_at_once(mailbox, routed), page.at)
    reach("page.written")
    return PageResult(
        fresh=len(added) + len(moved),
        known=len(stored) - len(moved),
        deliveries=made,
        actions=asked,
        claimed=tuple(claimed),
    )


def _stored(connection: Connection, mailbox: int, folder: int, ids: Sequence[str]) -> dict[str, Values]:
    """Return the messages of the mailbox among `ids`; those of other folders are locked: retention may be at them."""
    found = _STORED.rows(connection, ids, mailbox)
    elsewhere = sorted(row[1] for row in found if row[2] != folder)
    here = {row[0]: row for row in found if row[2] == folder}
    return here if not elsewhere else here | {row[0]: row for row in _LOCKED.rows(connection, elsewhere)}


def _add(connection: Connection, mailbox: int, folder: int, added: Sequence[PreparedMessage]) -> list[Routed]:
    """Insert new messages; returns those that were routed."""
    if not added:
        return []
    ids = _IDS.take(connection, len(added))
    _ADD_MESSAGE.insert(connection, [(key, mailbox, folder, *new.row) for key, new in zip(ids, added, strict=True)])
    routed = ((key, new) for key, new in zip(ids, added, strict=True) if new.dispatch and new.rules)
    return [Routed(key, new.message, new.rules, new.failure) for key, new in routed]


def _move(connection: Connection, folder: int, moved: Sequence[tuple[Values, PreparedMessage]]) -> list[Routed]:
    """Bring messages here that were last seen in another folder; returns those that were routed again."""
    if not moved:
        return []
    _MOVE_REMEMBERED.many(connection, [(folder, key) for (_, key, *_), new in moved if not new.dispatch])
    routed = [(key, rules, new) for (_, key, _, rules), new in moved if new.dispatch]
    keys = [key for key, *_ in routed]
    had, asked = handlers_of(connection, keys), actions.asked(connection, keys)
    _MOVE.many(connection, [_moved(folder, _all_rules(rules, new, had[key]), new, key) for key, rules, new in routed])
    return [
        Routed(key, new.message, new.rules, new.failure, had[key], asked[key]) for key, _, new in routed if new.rules
    ]


def _moved(folder: int, rules: str, new: PreparedMessage, key: int) -> Values:
    """Return the values of `_MOVE`. Whatever pruning took is there again: somebody may have to look at it."""
    fields = (new.internet_message_id, new.received_at, True, new.subject, new.sender, rules, new.snapshot)
    return (folder, *fields, key)


def _all_rules(rules: str | None, new: PreparedMessage, had: Mapping[str, DeliveryState]) -> str:
    """What matched before stays in the rules: its deliveries may still be under way.

    A rule all of whose handlers had the message is not added: its `then` has nothing to come after. Nobody could
    tell it from one that was renamed since, whose `then` has been carried out under its old name.
    """
    before: Mapping[str, tuple[str, ...]] = decode_rules(rules) if rules else {}
    known = {name: handlers for name, handlers in before.items() if ROUTING not in handlers}
    acting = [rule for rule in new.rules if not rule.handlers or set(rule.handlers) - had.keys()]
    return encode_rules({**known, **handlers_named(acting)})


def _due_at_once(mailbox: int, routed: Iterable[Routed]) -> actions.Requests:
    """Return the actions of rules that name no handler; where rules could not be evaluated nothing is certain."""
    return {
        (each.id, f"rule {rule.name} then"): (mailbox, rule.actions)
        for each in routed
        if not each.failure
        for rule in each.rules
        if rule.actions and not ((each.had or each.asked) and _was_asked(rule, each))
    }


def _was_asked(rule: MatchedRule, each: Routed) -> bool:
    """Say whether what a rule without handlers asks for was asked for when the message was met before.

    It acts on a mail where that first fits it, also in the second folder: it may have got a category since, or have
    been there before the first folder was watched. No delivery tells whether that has been, only what was asked for: by
    this name; or the same thing by one that does not match any more, for then it is most likely the name that was
    changed. What was asked for is not known of a pruned message, which is left alone where such a name is gone.
    """
    before = dict.fromkeys(each.had, "") | dict(each.asked)
    then = {origin for origin in before if origin.startswith("rule ") and origin.endswith(" then")}
    gone = then - {f"rule {other.name} then" for other in each.rules}
    wanted = encode_actions(rule.actions)
    return f"rule {rule.name} then" in then or any(before[origin] in {"", wanted} for origin in gone)


def note_walks(connection: Connection, walks: Mapping[int, datetime]) -> None:
    """See `ports.Journal.walked`."""
    _WALKED.many(connection, [(micros(at), micros(at), key) for key, at in walks.items()])
    reach("walks.written")


def fail_folder(connection: Connection, folder: int, error: str, at: datetime) -> None:
    """See `ports.Journal.folder_failed`."""
    change = {"last_error": clean(error), "last_error_at": micros(at)}
    connection.execute(update(folders).where(folders.c.id == folder), change)
    reach("failure.written")


def restart_walk(connection: Connection, folder: int, floor: datetime | None, at: datetime) -> None:
    """See `ports.Journal.restart_walk`."""
    change = {
        "graph_id": None,
        "link": None,
        "walk": "full",
        "walk_started_at": micros(at),
        "floor": None if floor is None else micros(floor),
    }
    connection.execute(update(folders).where(folders.c.id == folder), change)
    reach("restart.written")
