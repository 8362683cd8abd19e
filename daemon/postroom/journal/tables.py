"""The journal's tables. Times are microseconds since 1970 in UTC; ids are short enough for an operator to type.

What indexes they have besides is in `indexes`.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    or_,
)
from sqlalchemy.sql.elements import ColumnElement

metadata: Final = MetaData()

LARGEST: Final = 2**31 - 1
"""The largest id there is, and the largest number a statement takes everywhere: PostgreSQL's INTEGER."""

NEVER: Final = 253_370_764_800_000_000
"""When what waits for an operator's word is due: the beginning of the year 9999."""


def is_state(column: Column[str], *states: str) -> ColumnElement[bool]:
    """Compare with literal states: a bound value would hide from the planner that a partial index fits."""
    if not all(state.isalpha() for state in states):
        raise ValueError(f"{states!r} are no states")
    return or_(*(column == literal_column(f"'{state}'", Text) for state in states))


def _text(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=nullable)


def _empty_text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default=literal_column("''"))


def _zero(name: str) -> Column[Any]:
    return Column(name, Integer, nullable=False, server_default=literal_column("0"))


def _time(name: str, *, nullable: bool = True) -> Column[Any]:
    return Column(name, BigInteger, nullable=nullable)


def _reference(name: str, target: str) -> Column[Any]:
    return Column(name, ForeignKey(target), nullable=False)


mailboxes: Final = Table(
    "mailboxes",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("tenant"),
    _text("address"),
    _zero("version"),  # counts changes of owner: a node that was overtaken sees a higher one
    _time("parked_at"),
    _text("tenant_guid", nullable=True),  # `tenant` may be one of its domains; None until a sign-in has told
    UniqueConstraint("tenant", "address"),
)

folders: Final = Table(
    "folders",
    metadata,
    Column("id", Integer, primary_key=True),
    _reference("mailbox_id", "mailboxes.id"),
    _text("name"),
    _text("graph_id", nullable=True),  # whose link it is: a folder deleted and made anew has another
    _text("link", nullable=True),
    _text("walk"),
    _time("walk_started_at", nullable=False),
    _time("floor"),
    _text("mode"),
    _time("last_round_at"),
    _empty_text("last_error"),
    _time("last_error_at"),
    _time("reconciled_at"),
    UniqueConstraint("mailbox_id", "name"),
)

messages: Final = Table(
    "messages",
    metadata,
    Column("id", Integer, primary_key=True),
    _reference("mailbox_id", "mailboxes.id"),
    _reference("folder_id", "folders.id"),
    _text("graph_id"),
    _text("internet_message_id"),
    _time("received_at", nullable=False),
    _time("seen_at", nullable=False),
    Column("dispatched", Boolean, nullable=False),
    _text("subject"),
    _text("sender"),
    _text("rules", nullable=True),
    Column("snapshot", LargeBinary),  # JSON in UTF-8, as it is encoded and decoded: text would be recoded both ways
    _text("settled", nullable=True),  # JSON, handler or origin of actions -> state; set when the message was pruned
    UniqueConstraint("mailbox_id", "graph_id"),
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    _reference("message_id", "messages.id"),
    _reference("mailbox_id", "mailboxes.id"),
    _text("handler"),
    _text("rule"),
    _text("state"),
    _time("due_at", nullable=False),
    _zero("attempt"),
    _zero("granted"),  # attempts that no longer count against the policy, because an operator asked again
    Column("suspect", Boolean, nullable=False, server_default=false()),
    _time("started_at"),
    _time("settled_at"),
    _empty_text("error"),
    _empty_text("note"),
    UniqueConstraint("message_id", "handler"),
)

attempts: Final = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    _reference("delivery_id", "deliveries.id"),
    Column("attempt", Integer, nullable=False),
    _time("started_at"),
    _time("ended_at"),
    _text("outcome"),
    _empty_text("error"),
    Index("attempts_delivery_id", "delivery_id"),
)

actions: Final = Table(
    "actions",
    metadata,
    Column("id", Integer, primary_key=True),
    _reference("message_id", "messages.id"),
    _reference("mailbox_id", "mailboxes.id"),
    _text("origin"),
    _text("actions"),
    _text("state"),
    _time("due_at", nullable=False),
    _zero("attempt"),
    _time("settled_at"),
    _empty_text("error"),
    _empty_text("note"),
    UniqueConstraint("message_id", "origin"),
)

sends: Final = Table(
    "sends",
    metadata,
    Column("key", Text, primary_key=True),
    _text("mailbox"),
    _text("conversation"),
    _text("state"),
    _empty_text("draft_id"),
    _empty_text("note"),
    _time("at", nullable=False),
    _time("tried_at"),
    Index("sends_mailbox", "mailbox", "at"),
    Index("sends_conversation", "mailbox", "conversation", "at"),
)

correspondents: Final = Table(
    "correspondents",
    metadata,
    Column("key", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    _text("mailbox"),
    _time("at", nullable=False),
    Index("correspondents_mailbox", "mailbox", "address", "at"),
)

effects: Final = Table(
    "effects",
    metadata,
    Column("delivery_id", ForeignKey("deliveries.id"), primary_key=True),
    Column("key", Text, primary_key=True),
)

handler_state: Final = Table(
    "handler_state",
    metadata,
    Column("handler", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    _text("value"),
)

holds: Final = Table(
    "holds",
    metadata,
    Column("handler", Text, primary_key=True),
    _time("since", nullable=False),  # when the first of the attempts began that made its breaker open
    _text("reason"),
)
