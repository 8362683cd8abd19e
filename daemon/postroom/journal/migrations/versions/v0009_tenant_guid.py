"""Mailboxes remember the GUID of their tenant, which the configuration may spell as one of its domains."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; where the tenant is spelt as its GUID that is it, of the others the next sign-in tells."""
    op.add_column("mailboxes", sa.Column("tenant_guid", sa.Text, nullable=True))
    mailboxes = sa.table("mailboxes", sa.column("tenant", sa.Text), sa.column("tenant_guid", sa.Text))
    is_guid = mailboxes.c.tenant.like("________-____-____-____-____________")
    op.execute(mailboxes.update().where(is_guid).values(tenant_guid=mailboxes.c.tenant))
