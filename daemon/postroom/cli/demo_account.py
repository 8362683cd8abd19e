"""The demo's account: what the tenant was given, against what the journal says became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from postroom.errors import JournalError
from postroom.journal import JournalViews, open_journal
from postroom.journal.records import MessageRecord, Summary

OPEN = frozenset({"ready", "running"})

NOTHING = Summary(0, {}, {})

ALL = 1_000_000
"""More messages than any demo has."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A mail the tenant was given: its mailbox, its immutable id and what kind of mail it is."""

    mailbox: str
    message_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class Account:
    """What went in, and what became of it.

    Attributes:
        journalled: The messages that the journal has, by (mailbox, immutable id).
        deliveries: (handler, state) -> deliveries.
        actions: (kind, state) -> mail actions.
    """

    mails: tuple[Delivered, ...]
    messages: Mapping[tuple[str, str], MessageRecord]
    deliveries: Mapping[tuple[str, str], int]
    actions: Mapping[tuple[str, str], int]

    @property
    def delivered(self) -> int:
        """How many mails went in."""
        return len(self.mails)

    @property
    def journalled(self) -> int:
        """How many of them the journal has."""
        return sum(self.journalled_by_mailbox.values())

    @property
    def delivered_by_mailbox(self) -> Counter[str]:
        """Mailbox -> mails that went in."""
        return Counter(mail.mailbox for mail in self.mails)

    @property
    def journalled_by_mailbox(self) -> Counter[str]:
        """Mailbox -> mails that the journal has."""
        return Counter(mail.mailbox for mail in self.mails if (mail.mailbox, mail.message_id) in self.messages)

    @property
    def settled_by_mailbox(self) -> Counter[str]:
        """Mailbox -> mails whose every delivery is settled."""
        missing = set(self.unaccounted)
        return Counter(mail.mailbox for mail in self.mails if mail not in missing)

    @property
    def settled_count(self) -> int:
        """How many mails are settled."""
        return self.delivered - len(self.unaccounted)

    @property
    def unaccounted(self) -> list[Delivered]:
        """The mails that the journal does not have, did not dispatch, or has a delivery open for."""
        return [mail for mail in self.mails if not _is_settled(self.messages.get((mail.mailbox, mail.message_id)))]

    @property
    def open_work(self) -> int:
        """How many deliveries and mail actions are still to do."""
        both = (*self.deliveries.items(), *self.actions.items())
        return sum(count for (_, state), count in both if state in OPEN)

    @property
    def settled(self) -> bool:
        """Whether every mail is accounted for and nothing is left to do."""
        return not self.unaccounted and not self.open_work


def _is_settled(message: MessageRecord | None) -> bool:
    return message is not None and message.dispatched and not OPEN & set(message.deliveries.values())


async def take_account(database: Path, delivered: Sequence[Delivered]) -> Account:
    """Compare what was delivered with the journal at `database`; before there is one, nothing is journalled."""
    messages, summary = await _look(database)
    found = {(message.mailbox, message.graph_id): message for message in messages}
    return Account(tuple(delivered), found, summary.deliveries, summary.actions)


async def _look(database: Path) -> tuple[list[MessageRecord], Summary]:
    try:
        journal = await open_journal(f"sqlite:///{database}", exclusive=False)
    except JournalError:
        return [], NOTHING  # the daemon has not made it yet; whether it lives is watched elsewhere
    try:
        views = JournalViews(journal)
        return await views.messages(limit=ALL), await views.summary()
    finally:
        await journal.close()
