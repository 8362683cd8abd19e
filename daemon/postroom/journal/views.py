"""The operator's side of the journal: what the command line and the console ask of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import chain
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from postroom.journal import operate, queries, reconcile, upkeep
from postroom.journal.faults import damaged
from postroom.journal.records import (
    AccountRecord,
    DeliveryRecord,
    FolderRecord,
    MailboxRecord,
    MessageDetail,
    MessageRecord,
    Retried,
    Summary,
)
from postroom.journal.store import SqlJournal
from postroom.model import DeliveryState, canonical_folder

P = ParamSpec("P")
T = TypeVar("T")


class JournalViews:
    """Lists and details, and the operator's word, which not even a power cut takes back.

    May raise JournalError. Empty filters let everything through.
    """

    def __init__(self, journal: SqlJournal) -> None:
        self._database = journal.database

    async def check(self) -> None:
        """Raise JournalError when its file is damaged; reads all of it."""
        if found := await self._database.read(upkeep.damage):
            raise damaged(found, self._database.where)

    async def mailboxes(self) -> list[MailboxRecord]:
        """Return every mailbox with its folders and backlog."""
        return await self._database.read(queries.list_mailboxes)

    async def handlers(self) -> list[str]:
        """Return the handlers that have had deliveries, by name."""
        return await self._database.read(queries.list_handlers)

    async def handlers_of(self, ids: Sequence[int]) -> dict[int, str]:
        """Return id -> handler of those of the deliveries that there are."""
        return await self._database.read(operate.handlers_of, ids)

    async def folder(self, tenant: str, mailbox: str, name: str) -> FolderRecord | None:
        """Return a watched folder, however its name is spelt, or None when the journal does not know it."""
        folders = (box.folders for box in await self.mailboxes() if (box.tenant, box.address) == (tenant, mailbox))
        named = (each for each in chain.from_iterable(folders) if canonical_folder(each.name) == canonical_folder(name))
        return next(named, None)

    async def messages(
        self, *, mailbox: str = "", state: DeliveryState | None = None, text: str = "", limit: int = 50
    ) -> list[MessageRecord]:
        """Return messages, newest first: with a delivery or mail action in `state`, `text` in subject or sender."""
        return await self._database.read(queries.list_messages, mailbox, state, text, limit)

    async def find(self, key: str) -> list[MessageDetail]:
        """Return the message with this id of ours or Graph's, or those with this internet message id; maybe none."""
        return await self._database.read(queries.find_messages, key)

    async def deliveries(
        self, *, state: DeliveryState | None = None, handler: str = "", mailbox: str = "", limit: int = 50
    ) -> list[DeliveryRecord]:
        """Return deliveries, newest first."""
        conditions = queries.filters(state, handler, mailbox)
        return await self._database.read(queries.list_deliveries, *conditions, limit=limit)

    async def account(self, folder: int, since: datetime, until: datetime) -> dict[str, AccountRecord]:
        """Return Graph's id -> how it stands with each message last seen in the folder and received in the period."""
        return await self._database.read(reconcile.account, folder, since, until)

    async def summary(self) -> Summary:
        """Return counts of messages, of deliveries by handler and state, of mail actions by kind and state."""
        return await self._database.read(queries.summarise)

    async def retry(self, ids: Sequence[int], at: datetime) -> int:
        """Make deliveries (ready, dead or discarded) due at `at`, their retry policy afresh; returns how many.

        Dead mail actions of their messages become due as well.

        Raises:
            PostroomError: One is missing or in another state; nothing was changed then.
        """
        return await self._keep(operate.retry, ids, at)

    async def retry_dead(self, at: datetime, *, handler: str = "", mailbox: str = "") -> int:
        """Make all dead letters that fit due at `at`, their retry policy afresh; returns how many."""
        conditions = queries.filters(DeliveryState.DEAD, handler, mailbox)

        def work(connection: Connection) -> int:
            return operate.retry(connection, operate.select_ids(connection, *conditions), at)

        return await self._keep(work)

    async def retry_actions(self, message_ids: Sequence[int], at: datetime) -> Retried:
        """Make the dead and discarded mail actions of these messages due at `at`, their attempts afresh."""
        return await self._keep(operate.retry_actions, message_ids, at)

    async def discard_actions(self, message_ids: Sequence[int], reason: str, at: datetime) -> int:
        """Give the dead mail actions of these messages up, remembering why; returns how many sets."""
        return await self._keep(operate.discard_actions, message_ids, reason, at)

    async def discard(self, ids: Sequence[int], reason: str, at: datetime) -> int:
        """Give deliveries (ready or dead) up, remembering why; returns how many.

        Raises:
            PostroomError: One is missing or in another state; nothing was changed then.
        """
        return await self._keep(operate.discard, ids, reason, at)

    async def discard_waiting(self, handler: str, mailbox: str, reason: str, at: datetime) -> int:
        """Give up all deliveries that wait for a handler (in that mailbox, unless empty); returns how many."""
        conditions = queries.filters(DeliveryState.READY, handler, mailbox)

        def work(connection: Connection) -> int:
            return operate.discard(connection, operate.select_ids(connection, *conditions), reason, at)

        return await self._keep(work)

    async def _keep(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Write, and have it on the disk: an operator who was told so goes away, and nobody says it again."""
        result = await self._database.write(work, *args, **kwargs)
        await self._database.sync()
        return result
