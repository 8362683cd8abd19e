"""Mail actions can be discarded: the index of what is open tells those apart as well, so that counting stays cheap."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

OPEN = sa.text("state = 'running' OR state = 'dead' OR state = 'discarded'")


def upgrade() -> None:
    """Make the index anew; it is small, for it leaves out what is done and what is ready."""
    op.drop_index("actions_open", table_name="actions")
    op.create_index("actions_open", "actions", ["state"], sqlite_where=OPEN, postgresql_where=OPEN)
