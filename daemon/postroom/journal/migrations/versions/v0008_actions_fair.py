"""Mail actions are claimed for one mailbox as well: its oldest are found by seeking, however many others wait."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

READY = sa.text("state = 'ready'")


def upgrade() -> None:
    """Add an index of what is ready."""
    op.create_index("actions_fair", "actions", ["mailbox_id", "due_at"], sqlite_where=READY, postgresql_where=READY)
