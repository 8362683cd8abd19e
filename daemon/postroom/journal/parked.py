"""Which mailboxes are parked, for those who read the journal while the daemon runs; it finds out anew itself."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, update

from postroom.failpoints import reach
from postroom.journal.codec import micros
from postroom.journal.tables import folders, mailboxes


def park(connection: Connection, folder: int, at: datetime | None) -> None:
    """See `ports.Journal.parked`."""
    mailbox = select(folders.c.mailbox_id).where(folders.c.id == folder).scalar_subquery()
    parked_at = None if at is None else micros(at)
    connection.execute(update(mailboxes).where(mailboxes.c.id == mailbox).values(parked_at=parked_at))
    reach("parking.written")


def forget(connection: Connection) -> None:
    """Count no mailbox as parked any more: a start or a reload looks at each of them at once."""
    connection.execute(update(mailboxes).where(mailboxes.c.parked_at.is_not(None)).values(parked_at=None))
