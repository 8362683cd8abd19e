"""Folders remember until when they were last compared with what Graph lists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column, empty for every folder there is: none was ever compared."""
    op.add_column("folders", sa.Column("reconciled_at", sa.BigInteger, nullable=True))
