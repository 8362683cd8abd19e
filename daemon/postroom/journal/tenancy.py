"""Which mailbox of the journal one of the configuration is: a tenant has a GUID, and any number of domains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from postroom.errors import JournalError
from postroom.journal.tables import mailboxes
from postroom.ports import FolderSpec

Mailbox = tuple[str, str]
"""A tenant as it is configured, and an address."""

AnyRow = Row[*tuple[Any, ...]]


def adopt_mailboxes(connection: Connection, specs: Sequence[FolderSpec]) -> dict[Mailbox, int]:
    """Return the mailboxes' ids, having created those that are new.

    One whose tenant was spelt in another way before goes by the present one. Raises JournalError where it cannot be
    said whether that is the same tenant: to begin anew might repeat all mail, and to go on might lose some.
    """
    wanted = {(spec.tenant, spec.mailbox): spec for spec in specs}
    stored: dict[str, list[AnyRow]] = defaultdict(list)
    for row in connection.execute(select(mailboxes).order_by(mailboxes.c.id)):
        stored[row.address].append(row)
    found: dict[Mailbox, int] = {}
    for key, spec in wanted.items():
        same = _same([row for row in stored[spec.mailbox] if wanted.get((row.tenant, row.address), spec) is spec], spec)
        found[key] = _created(connection, spec) if same is None else _known(connection, same, spec)
    return found


def _same(rows: Iterable[AnyRow], spec: FolderSpec) -> AnyRow | None:
    """Return which of the address's mailboxes it is; None when it is none of them."""
    unsure = None
    for row in sorted(rows, key=lambda row: row.tenant != spec.tenant):
        if row.tenant == spec.tenant or (row.tenant_guid and row.tenant_guid == spec.tenant_guid):
            return row
        if not (row.tenant_guid and spec.tenant_guid):
            unsure = row
    if unsure is not None:
        raise _unsure(unsure, spec)
    return None


def _known(connection: Connection, row: AnyRow, spec: FolderSpec) -> int:
    """Keep how its tenant is spelt now, and what is known of it."""
    guid = spec.tenant_guid or row.tenant_guid
    if (row.tenant, row.tenant_guid) != (spec.tenant, guid):
        change = update(mailboxes).where(mailboxes.c.id == row.id)
        connection.execute(change.values(tenant=spec.tenant, tenant_guid=guid))
    return int(row.id)


def _created(connection: Connection, spec: FolderSpec) -> int:
    values = {"tenant": spec.tenant, "address": spec.mailbox, "tenant_guid": spec.tenant_guid or None}
    return int(connection.execute(insert(mailboxes).returning(mailboxes.c.id), values).scalar_one())


def _unsure(row: AnyRow, spec: FolderSpec) -> JournalError:
    remedy = (
        f"Put `tenant_id: {row.tenant}` back and start or reload while the login host answers: then the journal "
        "learns which tenant that is, and it may be changed."
        if spec.tenant_guid
        else f"Start again once the login host answers, which tells, or put `tenant_id: {row.tenant}` back."
    )
    return JournalError(
        f"The journal knows the mailbox {spec.mailbox} in the tenant {row.tenant}, the configuration has it in "
        f"{spec.tenant}, and nobody can say whether that is the same tenant.",
        remedy=remedy,
        mailbox=spec.mailbox,
    )
