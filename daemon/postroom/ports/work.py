"""What the rooms and the journal hand each other: folders, pages, verdicts on rules, mail actions, what is pruned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from postroom.model import Delivery, DeliveryState, MailAction, Message


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """A folder as the journal knows it.

    Attributes:
        key: The journal's id of it.
        link: The last committed link, or None before the first page.
        walk: ``full`` while everything is being listed (first walk or resync), ``round`` afterwards.
        floor: In a full walk, mail received earlier is remembered but not dispatched; None: all is dispatched.
        mode: ``delta``, or ``listing`` where delta cannot run.
        graph_id: Graph's id of the folder that `link` belongs to; None before the first page.
        reconciled_at: When it was last compared whole with Graph's listing, as of the start; None: never.
    """

    key: int
    mailbox: str
    name: str
    link: str | None = None
    walk: Literal["full", "round"] = "full"
    floor: datetime | None = None
    mode: Literal["delta", "listing"] = "delta"
    graph_id: str | None = None
    reconciled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MatchedRule:
    """A rule that matched, and whether its own actions are due at once because it names no handler."""

    name: str
    handlers: tuple[str, ...] = ()
    actions: tuple[MailAction, ...] = ()


ROUTING: Final = "(rules)"
"""The handler that evaluates the rules of a mail which a round could not read; no configured one can be called so."""

UNROUTED: Final = MatchedRule("", (ROUTING,))
"""Stands for the rules of such a mail until it has been read."""

UNDATED: Final = MatchedRule("(start)", (ROUTING,))
"""The same in a full walk with a floor, where the time of receipt is not known either: the floor is still to be asked.

What tells both from rules of the configuration is the handler; a rule may have any name.
"""


class NewMessage(NamedTuple):
    """A message of a page with what the rules said of it.

    Attributes:
        dispatch: False for mail that was there before Postroom was (the floor): remembered, never delivered.
        failure: Why its rules could not be evaluated; its deliveries then start as dead letters with this error.
    """

    message: Message
    rules: tuple[MatchedRule, ...] = ()
    dispatch: bool = True
    failure: str = ""


PreparedPage = Mapping[str, Any]
"""What `Journal.prepare` has made of messages; nobody else looks into it."""


@dataclass(frozen=True, slots=True)
class PageCommit:
    """One page with the link that follows it, stored in one transaction.

    Attributes:
        room: Handler -> how many of the page's deliveries may be claimed with it, in the same transaction.
        graph_id: Graph's id of the folder that the page and the link are of.
        advance: False for messages that a round has missed: they are taken in, and the folder stays as it is.
        again: Those known in this very folder are routed once more as well, as if they had moved here: `UNROUTED` ones.
        prepared: The messages prepared, page by page; without, they are prepared now.
    """

    folder: int
    messages: Sequence[NewMessage]
    link: str | None
    walk: Literal["full", "round"]
    at: datetime
    mode: Literal["delta", "listing"] = "delta"
    floor: datetime | None = None
    room: Mapping[str, int] = field(default_factory=dict)
    graph_id: str | None = None
    advance: bool = True
    again: bool = False
    prepared: Sequence[PreparedPage] = ()


@dataclass(frozen=True, slots=True)
class PageResult:
    """What a commit found: `fresh` messages were new to the folder, `known` were suppressed.

    Attributes:
        deliveries: How many were made; `claimed` are those of them that are already running.
    """

    fresh: int = 0
    known: int = 0
    deliveries: int = 0
    actions: int = 0
    claimed: tuple[Delivery, ...] = ()


@dataclass(frozen=True, slots=True)
class Siblings:
    """A message with the state of every delivery of it, for the verdict on its rules.

    Attributes:
        rules: Rule name -> the handlers it named, as routed.
        states: Handler name -> state of its delivery, the present settlement included.
    """

    message_id: int
    mailbox: str
    folder: str
    rules: Mapping[str, tuple[str, ...]]
    states: Mapping[str, DeliveryState]


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """Mail actions to be recorded. (message, origin) is unique: asking twice records once.

    Attributes:
        origin: ``rule NAME then``, ``rule NAME on_failure`` or ``handler NAME``.
    """

    message_id: int
    origin: str
    actions: tuple[MailAction, ...]


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many messages lost their details.

    Attributes:
        upto: The last id that was old enough to be looked at: go on after it.
        more: Whether what follows may be old enough as well.
    """

    count: int
    upto: int
    more: bool


@dataclass(frozen=True, slots=True)
class Forgettable:
    """Pruned messages as (our id, mailbox, Graph's id); `upto` as in `Pruned`."""

    messages: tuple[tuple[int, str, str], ...]
    upto: int


class MailboxLimit(NamedTuple):
    """How much of one mailbox a claim may take: `each`, or what `fewer` says of a mailbox.

    It limits deliveries, for each handler on its own, and mail actions.
    """

    each: int
    fewer: Mapping[str, int]

    def of(self, mailbox: str) -> int:
        """Return how many of this mailbox."""
        return self.fewer.get(mailbox, self.each)


Conclude = Callable[[Siblings], Sequence[ActionRequest]]
"""Pure: which `then` / `on_failure` actions are due now that these states hold."""


@dataclass(frozen=True, slots=True)
class ActionTask:
    """Recorded mail actions of one origin, claimed for their `attempt`-th try.

    Attributes:
        message_id: Graph's id of the message; `number` is the journal's.
        waits_until: Of those that delete the message: when what else is to be done with it is due, if anything is.
        note: What the try before this one ended with.
    """

    id: int
    mailbox: str
    message_id: str
    origin: str
    actions: tuple[MailAction, ...]
    attempt: int
    number: int = 0
    waits_until: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ActionResult:
    """How carrying out an `ActionTask` went. `state` is ``done``, ``ready`` (again at `due_at`) or ``dead``.

    A try that is not `counted` leaves the task as many as before.
    """

    task: ActionTask
    state: Literal["done", "ready", "dead"]
    at: datetime
    due_at: datetime | None = None
    error: str = ""
    note: str = ""
    counted: bool = True


@dataclass(frozen=True, slots=True)
class HeldHandler:
    """A handler whose deliveries are held, since when the first of the attempts began that failed, and why."""

    handler: str
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class FolderSpec:
    """A folder to watch.

    Attributes:
        tenant: The tenant as it is configured: its GUID or one of its domains.
        floor: Where its first walk starts dispatching (None: everything).
        tenant_guid: The tenant's GUID; empty while it is not known.
    """

    tenant: str
    mailbox: str
    folder: str
    floor: datetime | None
    tenant_guid: str = ""
