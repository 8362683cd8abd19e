"""The store as the pipeline sees it; the adapter is `journal`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

from postroom.model import Delivery, Settlement
from postroom.ports.sending import Busy, Refusal, SendPlan, SendRecord, Traffic, Windows
from postroom.ports.work import (
    ActionResult,
    ActionTask,
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
    WatchedFolder,
)


class Journal(Protocol):
    """The store of mailboxes, messages, deliveries, attempts and mail actions. May raise JournalError."""

    async def recover(self) -> int:
        """Turn what was running when the daemon died back to ready, as suspects; returns how many deliveries.

        Who was no suspect before gets the attempt back: it may only have run beside the culprit.
        """

    async def adopt(self, folders: Sequence[FolderSpec], at: datetime) -> list[WatchedFolder]:
        """Return the stored state of each folder, creating those that are new. A stored floor is kept.

        Names that differ in case or outer slashes alone are one folder, which goes by the spelling that was asked for.
        So does a tenant of the same GUID; where that is not known of both, JournalError says so and nothing is changed.
        """

    async def take_over(self, folder: int, graph_id: str, watched: Collection[int]) -> WatchedFolder | None:
        """Let a folder without a page be one of its mailbox that has this id of Graph's under another name.

        That one gets its name, and it is gone. Returns the one as it was, under its old name; None where there is none
        but those in `watched`.
        """

    async def known(self, folder: int, ids: Sequence[str]) -> frozenset[str]:
        """Return those ids that the mailbox of `folder` already has, last seen in this very folder."""

    async def prepare(self, messages: Sequence[NewMessage], at: datetime) -> PreparedPage:
        """Do what can be done with messages before they are stored, at once: `commit_page` takes what comes of it."""

    async def commit_page(self, page: PageCommit) -> PageResult:
        """Store a page: what is new with its deliveries, and the link, or nothing at all.

        A message known in the same folder is suppressed. One known in another folder of the mailbox has moved here:
        it is routed again, and only handlers that never had it get a delivery. One remembered under the floor and now
        met in another watched folder is new. Where all handlers of a rule had the message before it moved here, what
        that rule asks for afterwards is recorded with the page. With `again` what is known here is taken for moved.

        Where the page brings room, its deliveries are claimed with it, as `turn` would, unless others wait for that
        handler: nobody is overtaken.
        """

    async def reconciled(self, folder: int, at: datetime) -> None:
        """Remember that the folder was compared with Graph's listing, and that nothing is missing up to `at`."""

    async def walked(self, folders: Mapping[int, datetime]) -> None:
        """Remember when folders were last walked to their end, and that it went well; an older failure is over."""

    async def folder_failed(self, folder: int, error: str, at: datetime) -> None:
        """Remember why the last round of the folder failed."""

    async def parked(self, folder: int, at: datetime | None) -> None:
        """Remember since when the mailbox of `folder` is parked, or with None that it is not any more."""

    async def restart_walk(self, folder: int, floor: datetime | None, at: datetime) -> None:
        """Forget the link and list the folder again: after a resync."""

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
        """Settle what finished and claim what is due, in one transaction.

        In the mailboxes in `quiet` no rule asks for anything afterwards: `conclude` need not be asked about them.

        At most ``room[handler]`` deliveries are claimed for a handler, none for handlers not in `room`, fairly over
        mailboxes, oldest due first, and of one mailbox no more than `limits` say of that handler. Claimed ones are
        `running` with their attempt already counted. Of suspects at most one is running at any time, beside ordinary
        deliveries: whoever of them kills the daemon does it again. For a handler in `probed` one is claimed, if there
        is room: the newest that has never run, or else as ever.
        """

    async def hold(self, held: HeldHandler, forgiven: Mapping[int, int], at: datetime) -> None:
        """Remember that a handler's deliveries are held, for who asks the journal and for after a restart.

        `forgiven` says which delivery gets how many attempts back; those of them that are ready are due at `at`.
        """

    async def release(self, handler: str, since: datetime, at: datetime) -> None:
        """Forget that; deliveries of it that failed since and wait for their time are due at `at`."""

    async def held(self) -> list[HeldHandler]:
        """Return the handlers whose deliveries are held."""

    async def unserved(self, handlers: Collection[str]) -> Mapping[str, int]:
        """Return how many ready deliveries there are of each handler that is none of these."""

    async def folder_of(self, message: int) -> int | None:
        """Return the folder that a message was last seen in; None when there is no such message."""

    async def next_due(self) -> datetime | None:
        """Return when the earliest ready delivery or mail action is due; None when there is none."""

    async def hasten(self, now: datetime, by: timedelta, latest: datetime) -> int:
        """Have what waits for a time after `now` wait less by so much, and none beyond `latest`; returns how many.

        What is past by its nature and noted with a time after `now` moves back too, to `now` at the latest.
        """

    async def claim_actions(
        self, limit: int, now: datetime, busy: Sequence[str] = (), most: MailboxLimit | None = None
    ) -> list[ActionTask]:
        """Claim due mail actions, at most one a message, oldest first; messages (Graph ids) in `busy` are left out.

        Where more of a mailbox is due than `most` allows, mailboxes are taken in turn. When some of them take a mail
        out of its folder, not even a power cut takes back what the journal knows of that mail.
        """

    async def settle_actions(self, results: Sequence[ActionResult]) -> None:
        """Store how mail actions went."""

    async def send_record(self, key: str) -> SendRecord | None:
        """Return what is known of a mail to be sent; None before it was reserved."""

    async def reserve_send(
        self, plan: SendPlan, windows: Windows, decide: Callable[[Traffic], Refusal | Busy | None], at: datetime
    ) -> SendRecord | Refusal | Busy:
        """Count what was sent, and unless `decide` objects, count this one as well, in one transaction.

        One that is known is returned as it is.
        """

    async def note_send(self, record: SendRecord) -> None:
        """Store how it stands with a mail to be sent; that it is ``drafted`` not even a power cut takes back."""

    async def claim_effect(self, delivery: int, key: str) -> bool:
        """Record an effect of a delivery; False when it was recorded before.

        Not even a power cut takes it back.
        """

    async def has_effect(self, delivery: int, key: str) -> bool:
        """Say whether an effect of a delivery was recorded."""

    async def state_get(self, handler: str, key: str) -> str | None:
        """Return a handler's stored JSON text."""

    async def state_set(self, handler: str, key: str, value: str) -> None:
        """Store a handler's JSON text, so that not even a power cut takes it back."""

    async def state_add(self, handler: str, key: str, amount: int) -> int:
        """Add to a handler's whole number, at first 0, in one step, so that not even a power cut takes it back.

        Raises TypeError when something else is there.
        """

    async def prune(self, before: datetime, after: int, limit: int) -> Pruned:
        """Look at the next `limit` ids after `after`; drop the details of what was seen and settled before `before`.

        Of a pruned message stay its id, its times, and which handlers and rules had it, so that it is never new again.
        A dead letter or a given-up mail action keeps its message whole: it waits for an operator.
        """

    async def forgettable(self, before: datetime, after: int, limit: int) -> Forgettable:
        """Look at the next `limit` ids after `after`; return the pruned messages seen before `before`."""

    async def forget(self, ids: Sequence[int]) -> int:
        """Forget pruned messages altogether, which must not exist any more; returns how many."""

    async def forget_sends(self, before: datetime, limit: int) -> int:
        """Forget at most `limit` mails that were reserved before then, and whom they answered; returns how many.

        One that is ``drafted`` may be on its way, and is kept: the clock may be wrong.
        """

    async def size(self) -> int:
        """Return how many bytes the journal takes, its write-ahead log included."""

    async def counts(self) -> Mapping[str, int]:
        """Return counts: ``messages``, ``deliveries.<state>`` and ``actions.<state>``."""

    async def close(self) -> None:
        """Finish what is under way and let go of the database."""
