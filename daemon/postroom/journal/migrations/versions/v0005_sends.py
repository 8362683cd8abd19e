"""What was sent, and what is being sent: so that no mail goes out twice, and none answers for ever."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two tables, empty: nothing was ever sent."""
    op.create_table(
        "sends",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("mailbox", sa.Text, nullable=False),
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("draft_id", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("note", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("tried_at", sa.BigInteger, nullable=True),
    )
    op.create_index("sends_mailbox", "sends", ["mailbox", "at"])
    op.create_index("sends_conversation", "sends", ["mailbox", "conversation", "at"])
    op.create_table(
        "correspondents",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("mailbox", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("correspondents_mailbox", "correspondents", ["mailbox", "address", "at"])
