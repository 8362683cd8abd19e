"""The folders of the configuration, with what the journal knows of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from postroom.journal.codec import micros, moment_or_none
from postroom.journal.tables import folders, mailboxes
from postroom.ports import FolderSpec, WatchedFolder


def adopt(connection: Connection, specs: Sequence[FolderSpec], at: datetime) -> list[WatchedFolder]:
    """See `ports.Journal.adopt`."""
    owners = _mailboxes(connection, specs)
    stored = _folders(connection)
    missing = {
        (owners[spec.tenant, spec.mailbox], spec.folder): spec
        for spec in specs
        if (owners[spec.tenant, spec.mailbox], spec.folder) not in stored
    }
    if missing:
        connection.execute(insert(folders), [_new(mailbox, spec, at) for (mailbox, _), spec in missing.items()])
        stored = _folders(connection)
    return [_watched(spec, stored[owners[spec.tenant, spec.mailbox], spec.folder]) for spec in specs]


def _mailboxes(connection: Connection, specs: Sequence[FolderSpec]) -> dict[tuple[str, str], int]:
    """Return (tenant, address) -> id, having created those that are new."""
    wanted = dict.fromkeys((spec.tenant, spec.mailbox) for spec in specs)
    found = _read_mailboxes(connection)
    missing = [{"tenant": tenant, "address": address} for tenant, address in wanted if (tenant, address) not in found]
    if not missing:
        return found
    connection.execute(insert(mailboxes), missing)
    return _read_mailboxes(connection)


def _read_mailboxes(connection: Connection) -> dict[tuple[str, str], int]:
    rows = connection.execute(select(mailboxes.c.tenant, mailboxes.c.address, mailboxes.c.id))
    return {(tenant, address): key for tenant, address, key in rows}


def _folders(connection: Connection) -> dict[tuple[int, str], Row[*tuple[Any, ...]]]:
    return {(row.mailbox_id, row.name): row for row in connection.execute(select(folders))}


def _new(mailbox: int, spec: FolderSpec, at: datetime) -> dict[str, Any]:
    return {
        "mailbox_id": mailbox,
        "name": spec.folder,
        "walk": "full",
        "walk_started_at": micros(at),
        "mode": "delta",
        "floor": None if spec.floor is None else micros(spec.floor),
    }


def _watched(spec: FolderSpec, row: Row[*tuple[Any, ...]]) -> WatchedFolder:
    return WatchedFolder(
        key=row.id,
        mailbox=spec.mailbox,
        name=spec.folder,
        link=row.link,
        walk=row.walk,
        floor=moment_or_none(row.floor),
        mode=row.mode,
    )
