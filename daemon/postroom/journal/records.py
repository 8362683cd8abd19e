"""What the journal shows an operator: frozen rows with aware times in UTC, ready to be printed or made JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from postroom.model import MailAction, Message


@dataclass(frozen=True, slots=True)
class FolderRecord:
    """A watched folder. `last_error` is that of the last round, or empty when that one went well."""

    id: int
    name: str
    walk: str
    mode: str
    floor: datetime | None
    walk_started_at: datetime
    last_round_at: datetime | None
    last_error: str
    last_error_at: datetime | None


@dataclass(frozen=True, slots=True)
class MailboxRecord:
    """A watched mailbox.

    Attributes:
        backlog: Counts its deliveries that are ``ready``, ``running`` or ``dead``.
        parked_at: Since when it is parked, for it cannot be used as a whole; None when it is not.
        actions: Counts its sets of mail actions in the same states.
    """

    id: int
    tenant: str
    address: str
    folders: tuple[FolderRecord, ...]
    backlog: Mapping[str, int]
    parked_at: datetime | None = None
    actions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """A message in a list.

    Attributes:
        dispatched: False for mail that was there before Postroom was.
        deliveries: Handler -> state.
        rules: Names of the rules that matched; none for mail that was there before, and none once details were pruned.
        settled: Of a message whose details were pruned, handler or origin of mail actions -> how it ended.
        actions: Origin of its mail actions -> state.
        withheld: Origins of those of them that are done but for an answer which a limit of `sending` withheld.
    """

    id: int
    mailbox: str
    folder: str
    graph_id: str
    internet_message_id: str
    received_at: datetime
    seen_at: datetime
    dispatched: bool
    subject: str
    sender: str
    deliveries: Mapping[str, str]
    rules: tuple[str, ...] = ()
    settled: Mapping[str, str] | None = None
    actions: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """An attempt that did not end well.

    Attributes:
        outcome: ``retry``, ``forgiven`` (the mail was not the cause), ``dead`` or ``cut off`` (its end is not known).
    """

    attempt: int
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str
    error: str


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery.

    Attributes:
        granted: Attempts that do not count: forgiven by an operator's retry, or because the mail was not their cause.
        held: Why the deliveries of its handler are held, for one that is ``ready``; else empty.
    """

    id: int
    message_id: int
    mailbox: str
    subject: str
    handler: str
    rule: str
    state: str
    attempt: int
    granted: int
    suspect: bool
    due_at: datetime
    started_at: datetime | None
    settled_at: datetime | None
    error: str
    note: str
    held: str = ""


@dataclass(frozen=True, slots=True)
class Retried:
    """What retrying mail actions came to, in sets: made ready again, and due or running anyway."""

    again: int
    under_way: int


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """Recorded mail actions of one origin.

    Attributes:
        due_at: None for what waits until an operator has spoken.
    """

    id: int
    origin: str
    actions: tuple[MailAction, ...]
    state: str
    attempt: int
    due_at: datetime | None
    settled_at: datetime | None
    error: str
    note: str


@dataclass(frozen=True, slots=True)
class MessageDetail:
    """A message with everything that is known of it.

    Attributes:
        snapshot: As it was when last routed; None for mail that was never dispatched.
        rules: Name of each rule that matched -> the handlers it named.
        attempts: Delivery id -> its attempts that did not end well.
    """

    record: MessageRecord
    snapshot: Message | None
    rules: Mapping[str, tuple[str, ...]]
    deliveries: tuple[DeliveryRecord, ...]
    attempts: Mapping[int, tuple[AttemptRecord, ...]]
    actions: tuple[ActionRecord, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts: (handler, state) -> deliveries, and (kind such as ``move_to``, state) -> mail actions."""

    messages: int
    deliveries: Mapping[tuple[str, str], int]
    actions: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """How it stands with a message.

    Attributes:
        state: The weightiest state of its deliveries. Without any: ``remembered`` (it was there before Postroom was),
            ``no handler`` (its rules name none) or ``no rule`` (none matched).
    """

    received_at: datetime
    state: str
