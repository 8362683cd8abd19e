"""`ports.Journal` over SQLAlchemy Core: SQLite on one machine, PostgreSQL for many, the same statements for both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType

from sqlalchemy import Connection

from postroom.errors import JournalGone
from postroom.failpoints import reach
from postroom.journal import (
    action_claim,
    actions,
    adopt,
    claim,
    holds,
    notes,
    pages,
    parked,
    reconcile,
    retention,
    sends,
    settle,
    unserved,
    upkeep,
)
from postroom.journal.database import Database
from postroom.journal.engine import size_of
from postroom.journal.lock import Lock
from postroom.journal.prepare import prepare, together
from postroom.model import Delete, Delivery, MoveTo, Settlement
from postroom.ports import (
    ActionResult,
    ActionTask,
    Busy,
    Conclude,
    FolderSpec,
    Forgettable,
    HeldHandler,
    MailboxLimit,
    NewMessage,
    PageCommit,
    PageResult,
    PreparedPage,
    Pruned,
    Refusal,
    SendPlan,
    SendRecord,
    Traffic,
    WatchedFolder,
    Windows,
)


class SqlJournal:
    """The journal. Each method is one transaction; it is kept whole, or raises JournalError and kept nothing.

    Attributes:
        is_new: Whether opening it made it: there was nothing before.
    """

    def __init__(self, database: Database, lock: Lock | None) -> None:
        self.database = database
        self.is_new = False
        self._lock = lock
        self._memory = claim.ClaimMemory()
        self._served = action_claim.Served()
        self._claimed: list[ActionTask] = []

    async def recover(self) -> int:
        """See `ports.Journal.recover`."""
        self._memory.suspects = True
        count = await self.database.write(upkeep.recover)
        reach("recovery.committed")
        return count

    async def adopt(self, folders: Sequence[FolderSpec], at: datetime) -> list[WatchedFolder]:
        """See `ports.Journal.adopt`."""
        watched = await self.database.write(adopt.adopt, folders, at)
        # Where `start: now` begins is said once: the mail since then could not be told from older mail afterwards.
        await self.database.sync()
        reach("adoption.committed")
        return watched

    async def take_over(self, folder: int, graph_id: str, watched: Collection[int]) -> WatchedFolder | None:
        """See `ports.Journal.take_over`."""
        before = await self.database.write(adopt.take_over, folder, graph_id, watched)
        if before is not None:
            reach("adoption.committed")
        return before

    async def known(self, folder: int, ids: Sequence[str]) -> frozenset[str]:
        """See `ports.Journal.known`."""
        return await self.database.read(pages.known, folder, ids)

    async def prepare(self, messages: Sequence[NewMessage], at: datetime) -> PreparedPage:
        """See `ports.Journal.prepare`."""
        return prepare(messages, at)

    async def commit_page(self, page: PageCommit) -> PageResult:
        """See `ports.Journal.commit_page`."""
        prepared = together(page.prepared) if page.prepared else prepare(page.messages, page.at)
        result = await self.database.write(pages.commit_page, page, prepared)
        reach("page.committed")
        return result

    async def reconciled(self, folder: int, at: datetime) -> None:
        """See `ports.Journal.reconciled`."""
        await self.database.write(reconcile.note, folder, at)
        reach("reconciliation.committed")

    async def walked(self, folders: Mapping[int, datetime]) -> None:
        """See `ports.Journal.walked`."""
        await self.database.write(pages.note_walks, folders)
        reach("walks.committed")

    async def folder_failed(self, folder: int, error: str, at: datetime) -> None:
        """See `ports.Journal.folder_failed`."""
        await self.database.write(pages.fail_folder, folder, error, at)
        reach("failure.committed")

    async def parked(self, folder: int, at: datetime | None) -> None:
        """See `ports.Journal.parked`."""
        await self.database.write(parked.park, folder, at)
        reach("parking.committed")

    async def restart_walk(self, folder: int, floor: datetime | None, at: datetime) -> None:
        """See `ports.Journal.restart_walk`."""
        await self.database.write(pages.restart_walk, folder, floor, at)
        reach("restart.committed")

    async def turn(
        self,
        settled: Sequence[Settlement],
        room: Mapping[str, int],
        now: datetime,
        conclude: Conclude,
        quiet: Collection[str] = (),
        *,
        limits: Mapping[str, MailboxLimit] = MappingProxyType({}),
        probed: Collection[str] = (),
    ) -> list[Delivery]:
        """See `ports.Journal.turn`."""
        finished = settle.sort(settled, quiet)

        def work(connection: Connection) -> list[Delivery]:
            settle.settle(connection, finished, now, conclude)
            claimed = claim.claim(connection, room, now, self._memory, limits=limits, probed=probed)
            reach("turn.written")
            return claimed

        claimed = await self.database.write(work)
        reach("turn.committed")
        return claimed

    async def hold(self, held: HeldHandler, forgiven: Mapping[int, int], at: datetime) -> None:
        """See `ports.Journal.hold`."""
        await self.database.write(holds.hold, held, forgiven, at)
        reach("hold.committed")

    async def release(self, handler: str, since: datetime, at: datetime) -> None:
        """See `ports.Journal.release`."""
        await self.database.write(holds.release, handler, since, at)
        reach("release.committed")

    async def held(self) -> list[HeldHandler]:
        """See `ports.Journal.held`."""
        return await self.database.read(holds.held)

    async def unserved(self, handlers: Collection[str]) -> Mapping[str, int]:
        """See `ports.Journal.unserved`."""
        return await self.database.read(unserved.unserved, handlers)

    async def folder_of(self, message: int) -> int | None:
        """See `ports.Journal.folder_of`."""
        return await self.database.read(adopt.folder_of, message)

    async def next_due(self) -> datetime | None:
        """See `ports.Journal.next_due`."""
        return await self.database.read(upkeep.next_due)

    async def hasten(self, now: datetime, by: timedelta, latest: datetime) -> int:
        """See `ports.Journal.hasten`."""
        count = await self.database.write(upkeep.hasten, now, by, latest)
        reach("hastening.committed")
        return count

    async def claim_actions(
        self, limit: int, now: datetime, busy: Sequence[str] = (), most: MailboxLimit | None = None
    ) -> list[ActionTask]:
        """See `ports.Journal.claim_actions`."""
        if not self._claimed:  # or else the disk failed the last time, and what was claimed then comes first
            claim = partial(action_claim.claim, busy=busy, most=most)
            claimed = await self.database.write(claim, limit, now, self._served)
            self._claimed += claimed
        if any(isinstance(each, MoveTo | Delete) for task in self._claimed for each in task.actions):
            # A journal that forgot the mail would not meet it in its folder again, for whoever is not done with it.
            await self.database.sync()
        reach("actions_claim.committed")
        claimed, self._claimed = self._claimed, []
        return claimed

    async def settle_actions(self, results: Sequence[ActionResult]) -> None:
        """See `ports.Journal.settle_actions`."""
        await self.database.write(actions.settle, results)
        reach("actions_settlement.committed")

    async def send_record(self, key: str) -> SendRecord | None:
        """See `ports.Journal.send_record`."""
        return await self.database.read(sends.read, key)

    async def reserve_send(
        self, plan: SendPlan, windows: Windows, decide: Callable[[Traffic], Refusal | Busy | None], at: datetime
    ) -> SendRecord | Refusal | Busy:
        """See `ports.Journal.reserve_send`."""
        reserved = await self.database.write(sends.reserve, plan, windows, decide, at)
        reach("reservation.committed")
        return reserved

    async def note_send(self, record: SendRecord) -> None:
        """See `ports.Journal.note_send`."""
        await self.database.write(sends.note, record)
        if record.state == "drafted":  # a journal that forgot this would hand over the same draft again
            await self.database.sync()
        if record.state == "sent":
            reach("sent.committed")
        else:
            reach("draft.committed")

    async def claim_effect(self, delivery: int, key: str) -> bool:
        """See `ports.Journal.claim_effect`."""
        is_first = await self.database.write(notes.claim_effect, delivery, key)
        if is_first:
            await self.database.sync()
        reach("effect.committed")
        return is_first

    async def has_effect(self, delivery: int, key: str) -> bool:
        """See `ports.Journal.has_effect`."""
        return await self.database.read(notes.has_effect, delivery, key)

    async def state_get(self, handler: str, key: str) -> str | None:
        """See `ports.Journal.state_get`."""
        return await self.database.read(notes.get_state, handler, key)

    async def state_set(self, handler: str, key: str, value: str) -> None:
        """See `ports.Journal.state_set`."""
        await self.database.write(notes.set_state, handler, key, value)
        await self.database.sync()
        reach("state.committed")

    async def state_add(self, handler: str, key: str, amount: int) -> int:
        """See `ports.Journal.state_add`."""
        total = await self.database.write(notes.add_state, handler, key, amount)
        await self.database.sync()
        reach("state.committed")
        return total

    async def prune(self, before: datetime, after: int, limit: int) -> Pruned:
        """See `ports.Journal.prune`."""
        pruned = await self.database.write(retention.prune, before, after, limit)
        reach("pruning.committed")
        return pruned

    async def forgettable(self, before: datetime, after: int, limit: int) -> Forgettable:
        """See `ports.Journal.forgettable`."""
        return await self.database.read(retention.forgettable, before, after, limit)

    async def forget(self, ids: Sequence[int]) -> int:
        """See `ports.Journal.forget`."""
        count = await self.database.write(retention.forget, ids)
        reach("forgetting.committed")
        return count

    async def forget_sends(self, before: datetime, limit: int) -> int:
        """See `ports.Journal.forget_sends`."""
        count = await self.database.write(sends.forget, before, limit)
        if count:
            reach("forgetting.committed")
        return count

    async def size(self) -> int:
        """See `ports.Journal.size`."""
        return await self.database.read(size_of)

    async def counts(self) -> Mapping[str, int]:
        """See `ports.Journal.counts`."""
        return await self.database.read(upkeep.counts)

    @property
    def is_lost(self) -> bool:
        """Whether its file was found to be gone: nothing can be recorded any more."""
        return self.database.gone.is_set()

    async def lost(self) -> JournalGone:
        """Wait until a transaction finds that its file is gone, and return what that one raised."""
        await self.database.gone.wait()
        assert self.database.loss is not None
        return self.database.loss

    async def close(self) -> None:
        """See `ports.Journal.close`."""
        await self.database.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
