"""Mailboxes remember since when they are parked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column, empty for every mailbox there is: none is parked."""
    op.add_column("mailboxes", sa.Column("parked_at", sa.BigInteger, nullable=True))
