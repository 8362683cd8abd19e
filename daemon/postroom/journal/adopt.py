"""The folders of the configuration, with what the journal knows of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from postroom.failpoints import reach
from postroom.journal import parked
from postroom.journal.codec import micros, moment_or_none
from postroom.journal.tables import folders, mailboxes, messages
from postroom.journal.tenancy import adopt_mailboxes
from postroom.model import canonical_folder as canonical
from postroom.ports import FolderSpec, WatchedFolder

Key = tuple[int, str]
"""A mailbox's id and a folder's canonical name."""


def adopt(connection: Connection, specs: Sequence[FolderSpec], at: datetime) -> list[WatchedFolder]:
    """See `ports.Journal.adopt`."""
    parked.forget(connection)
    owners = adopt_mailboxes(connection, specs)
    wanted = {(owners[spec.tenant, spec.mailbox], canonical(spec.folder)): spec for spec in specs}
    stored = _folders(connection)
    missing = [_new(key[0], spec, at) for key, spec in wanted.items() if key not in stored]
    if missing:
        connection.execute(insert(folders), missing)
        stored = _folders(connection)
    for key, spec in wanted.items():
        if stored[key].name != spec.folder:
            connection.execute(update(folders).where(folders.c.id == stored[key].id).values(name=spec.folder))
    reach("adoption.written")
    rows = (stored[owners[spec.tenant, spec.mailbox], canonical(spec.folder)] for spec in specs)
    return [_watched(spec.mailbox, spec.folder, row) for spec, row in zip(specs, rows, strict=True)]


def take_over(connection: Connection, folder: int, graph_id: str, watched: Collection[int]) -> WatchedFolder | None:
    """See `ports.Journal.take_over`. The rows change places, for the messages are of the old one."""
    unwalked = select(folders.c.mailbox_id, folders.c.name).where(
        folders.c.id == folder, folders.c.link.is_(None), folders.c.last_round_at.is_(None)
    )
    new = connection.execute(unwalked).one_or_none()
    if new is None:
        return None
    same = (
        select(folders, mailboxes.c.address)
        .join(mailboxes, mailboxes.c.id == folders.c.mailbox_id)
        .where(folders.c.mailbox_id == new.mailbox_id, folders.c.graph_id == graph_id)
        .where(folders.c.id.not_in([folder, *watched]))
        .order_by(folders.c.last_round_at.desc(), folders.c.id.desc())
    )
    old = connection.execute(same).first()
    if old is None:
        return None
    connection.execute(delete(folders).where(folders.c.id == folder))
    connection.execute(update(folders).where(folders.c.id == old.id).values(name=new.name))
    reach("adoption.written")
    return _watched(old.address, old.name, old)


def folder_of(connection: Connection, message: int) -> int | None:
    """See `ports.Journal.folder_of`."""
    return connection.scalar(select(messages.c.folder_id).where(messages.c.id == message))


def _folders(connection: Connection) -> dict[Key, Row[*tuple[Any, ...]]]:
    return {(row.mailbox_id, canonical(row.name)): row for row in connection.execute(select(folders))}


def _new(mailbox: int, spec: FolderSpec, at: datetime) -> dict[str, Any]:
    return {
        "mailbox_id": mailbox,
        "name": spec.folder,
        "walk": "full",
        "walk_started_at": micros(at),
        "mode": "delta",
        "floor": None if spec.floor is None else micros(spec.floor),
    }


def _watched(mailbox: str, name: str, row: Row[*tuple[Any, ...]]) -> WatchedFolder:
    return WatchedFolder(
        key=row.id,
        mailbox=mailbox,
        name=name,
        link=row.link,
        walk=row.walk,
        floor=moment_or_none(row.floor),
        mode=row.mode,
        graph_id=row.graph_id,
        reconciled_at=moment_or_none(row.reconciled_at),
    )
