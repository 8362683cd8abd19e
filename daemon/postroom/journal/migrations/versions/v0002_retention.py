"""Messages can be pruned: what remains of one is its id and what was settled of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column, empty for every message there is."""
    op.add_column("messages", sa.Column("settled", sa.Text, nullable=True))
