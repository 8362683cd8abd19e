"""The first schema.

Spelled out rather than taken from `tables`: those go on changing, this is what the first journals have.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    _mailboxes()
    _messages()
    _deliveries()
    _actions()
    _handlers()


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _empty_text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''"))


def _zero(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=sa.text("0"))


def _time(name: str, *, nullable: bool = True) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _reference(name: str, target: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, sa.ForeignKey(target), nullable=False)


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _mailboxes() -> None:
    op.create_table(
        "mailboxes",
        _id(),
        _text("tenant"),
        _text("address"),
        _zero("version"),
        sa.UniqueConstraint("tenant", "address"),
    )
    op.create_table(
        "folders",
        _id(),
        _reference("mailbox_id", "mailboxes.id"),
        _text("name"),
        _text("graph_id", nullable=True),
        _text("link", nullable=True),
        _text("walk"),
        _time("walk_started_at", nullable=False),
        _time("floor"),
        _text("mode"),
        _time("last_round_at"),
        _empty_text("last_error"),
        _time("last_error_at"),
        sa.UniqueConstraint("mailbox_id", "name"),
    )


def _messages() -> None:
    op.create_table(
        "messages",
        _id(),
        _reference("mailbox_id", "mailboxes.id"),
        _reference("folder_id", "folders.id"),
        _text("graph_id"),
        _text("internet_message_id"),
        _time("received_at", nullable=False),
        _time("seen_at", nullable=False),
        sa.Column("dispatched", sa.Boolean, nullable=False),
        _text("subject"),
        _text("sender"),
        _text("rules", nullable=True),
        sa.Column("snapshot", sa.LargeBinary),
        sa.UniqueConstraint("mailbox_id", "graph_id"),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        _id(),
        _reference("message_id", "messages.id"),
        _reference("mailbox_id", "mailboxes.id"),
        _text("handler"),
        _text("rule"),
        _text("state"),
        _time("due_at", nullable=False),
        _zero("attempt"),
        _zero("granted"),
        sa.Column("suspect", sa.Boolean, nullable=False, server_default=sa.false()),
        _time("started_at"),
        _time("settled_at"),
        _empty_text("error"),
        _empty_text("note"),
        sa.UniqueConstraint("message_id", "handler"),
    )
    _partial("deliveries_due", "deliveries", ["handler", "due_at"], "state = 'ready'")
    _partial("deliveries_fair", "deliveries", ["handler", "mailbox_id", "due_at"], "state = 'ready'")
    _partial(
        "deliveries_open",
        "deliveries",
        ["state", "handler"],
        "state = 'running' OR state = 'dead' OR state = 'discarded'",
    )
    suspect = sa.column("suspect", sa.Boolean) == sa.true()
    op.create_index(
        "deliveries_suspect", "deliveries", ["state", "attempt"], sqlite_where=suspect, postgresql_where=suspect
    )
    op.create_table(
        "attempts",
        _id(),
        _reference("delivery_id", "deliveries.id"),
        sa.Column("attempt", sa.Integer, nullable=False),
        _time("started_at"),
        _time("ended_at"),
        _text("outcome"),
        _empty_text("error"),
    )
    op.create_index("attempts_delivery_id", "attempts", ["delivery_id"])
    op.create_table(
        "effects",
        sa.Column("delivery_id", sa.Integer, sa.ForeignKey("deliveries.id"), primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
    )


def _actions() -> None:
    op.create_table(
        "actions",
        _id(),
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
        sa.UniqueConstraint("message_id", "origin"),
    )
    _partial("actions_due", "actions", ["due_at"], "state = 'ready'")
    _partial("actions_open", "actions", ["state"], "state = 'running' OR state = 'dead'")


def _handlers() -> None:
    op.create_table(
        "handler_state",
        sa.Column("handler", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        _text("value"),
    )
