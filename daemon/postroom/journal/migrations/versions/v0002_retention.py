"""Messages can be pruned: what remains of one is its id and the names of the handlers that had it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column, empty for every message there is."""
    op.add_column("messages", sa.Column("handled_by", sa.Text, nullable=True))
