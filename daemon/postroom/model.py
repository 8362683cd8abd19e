"""The frozen nouns of Postroom: standard library only, no behaviour beyond reading oneself."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Address:
    """A mail address with the name shown beside it, either of which may be empty."""

    name: str
    address: str

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address


NOBODY = Address("", "")


def canonical_folder(name: str) -> str:
    """Return what all spellings of a folder's name share: Graph does not tell case apart, outer slashes say nothing."""
    return "/".join(part.strip() for part in name.split("/") if part.strip()).casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A frozen snapshot of a mail, as it was when first seen in a watched folder.

    Attributes:
        id: Graph's immutable id; stays the same while the mail moves between folders of its mailbox.
        mailbox: Address of the watched mailbox, as configured.
        folder: Watched folder it was seen in, as configured.
        received_at: When Exchange received it (aware, UTC).
        sender: The `From` of the mail: whom it is from.
        sent_from: The `Sender`: who sent it on their behalf; mostly the same.
        preview: The first 255 characters of the text.
        size: Bytes, where known.
    """

    id: str
    mailbox: str
    folder: str
    received_at: datetime
    sent_at: datetime | None = None
    internet_message_id: str = ""
    conversation_id: str = ""
    subject: str = ""
    sender: Address = NOBODY
    sent_from: Address = NOBODY
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    importance: str = "normal"
    categories: tuple[str, ...] = ()
    is_read: bool = False
    has_attachments: bool = False
    preview: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """The text of a mail. `kind` is ``text`` or ``html``."""

    kind: str
    content: str


@dataclass(frozen=True, slots=True)
class Details:
    """What a rule may ask about a mail that a delta page does not tell; None means not read."""

    headers: tuple[tuple[str, str], ...] | None = None
    attachments: tuple[str, ...] | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class MarkRead:
    """Mark the mail as read, or unread."""

    read: bool = True


@dataclass(frozen=True, slots=True)
class MoveTo:
    """Move the mail to a folder: a well-known name, or a path such as ``Inbox/Done``; made if it is missing."""

    folder: str


@dataclass(frozen=True, slots=True)
class Categorise:
    """Add categories to the mail; those it has stay."""

    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """Flag the mail: ``flagged``, ``complete`` or ``notFlagged``."""

    status: str = "flagged"


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the mail: it goes to Deleted Items' recoverable store, as when a person deletes it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the mail in plain text: to its Reply-To, or else to its From; `to_all` answers everybody it went to.

    Without a `subject` it is the mail's own, with ``RE:`` before it.
    """

    text: str
    subject: str = ""
    to_all: bool = False


@dataclass(frozen=True, slots=True)
class Forward:
    """Forward the mail with its attachments to these addresses, the comment above it."""

    to: tuple[str, ...]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a new mail in plain text to these addresses."""

    to: tuple[str, ...]
    subject: str
    text: str
    cc: tuple[str, ...] = ()


MailAction = MarkRead | MoveTo | Categorise | Flag | Delete | Reply | Forward | Send
"""A write to the mailbox, asked for by a handler or by a rule and carried out by Postroom."""


@dataclass(frozen=True, slots=True)
class Done:
    """The handler did its work."""

    note: str = ""
    actions: tuple[MailAction, ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """There was nothing for this handler to do; counts as done."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again: `after` seconds from now where given, otherwise as the retry policy says.

    Attributes:
        waiting: Nothing is wrong, and the mail waits for somebody. Else different mails that fail alike are an outage
            of what the handler needs.
    """

    reason: str = ""
    after: float | None = None
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Reject:
    """This mail will never succeed with this handler: make it a dead letter now."""

    reason: str


Outcome = Done | Skip | Retry | Reject
"""What a handler returns; returning nothing means `Done`."""


class DeliveryState(enum.StrEnum):
    """Where a delivery stands. `dead` is the dead letter; `discarded` is an operator's word."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a failed attempt is repeated. Times in seconds.

    Attributes:
        attempts: Runs in all, the first one included.
        first: Wait before the second attempt; doubles each time.
        longest: Upper limit of one wait.
    """

    attempts: int = 8
    first: float = 30.0
    longest: float = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a handler's deliveries are held because what it needs does not work. Times in seconds.

    Attributes:
        after: Different mails that have to fail alike, with none done in between.
        probe: Wait before one of them is tried again; doubles each time.
        longest: Upper limit of one wait.
    """

    after: int = 5
    probe: float = 30.0
    longest: float = 600.0


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long the journal keeps what, in seconds; None is for ever.

    Attributes:
        snapshots: The details of a mail, from when the last of it was settled.
        ids: The id of a mail that its mailbox does not have any more, from when it was seen.
    """

    snapshots: float | None = 30 * 86_400.0
    ids: float | None = 400 * 86_400.0


class Delivery(NamedTuple):
    """One message on its way through one configured handler, claimed for its `attempt`-th run.

    Attributes:
        rule: Name of the rule that asked for it.
        attempt: 1 for the first run; counted before the handler starts.
        suspect: It was running when the daemon died: of such only one runs at a time, the last time quite alone.
        granted: Attempts that do not count, for an operator said `retry` or the mail was not the cause: the policy's
            limit counts from there.
    """

    id: int
    message_id: int
    message: Message
    handler: str
    rule: str
    attempt: int
    suspect: bool = False
    granted: int = 0

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this delivery and for no other."""
        return f"{self.message.mailbox}/{self.message.id}/{self.handler}"

    @property
    def labels(self) -> dict[str, str | int]:
        """What a line of the log says to tell it from others."""
        return {
            "mailbox": self.message.mailbox,
            "folder": self.message.folder,
            "message": self.message_id,
            "delivery": self.id,
            "handler": self.handler,
            "rule": self.rule,
            "attempt": self.attempt,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be stored about a finished attempt.

    Attributes:
        state: The delivery's next state.
        due_at: When to run again, for state ``ready``.
        counted: False when it is as if the attempt had not been: the daemon was stopping.
        forgiven: It was made and keeps its number, but the policy's limit moves with it: the mail was not the cause.
        error: Why it failed, or empty.
        actions: Mail actions the handler asked for; only with state ``done``.
    """

    state: DeliveryState
    due_at: datetime | None = None
    counted: bool = True
    forgiven: bool = False
    note: str = ""
    error: str = ""
    actions: tuple[MailAction, ...] = field(default=())


class Settlement(NamedTuple):
    """A verdict on a delivery, ready for the journal. Times are aware, UTC."""

    delivery: Delivery
    verdict: Verdict
    started_at: datetime
    ended_at: datetime
