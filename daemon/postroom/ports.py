"""What the pipeline needs from outside, as protocols. Adapters: `graph` (Mail), `journal` (Journal), `app` (Clock)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Protocol

from postroom.model import Body, Delivery, DeliveryState, Details, MailAction, Message, Settlement
from postroom.outgoing import Letter

LOCAL_BUDGET = "LocalBudget"
"""The code of a request that our own limits held back."""

LONGEST_PARK = 3600.0
"""Seconds that a Retry-After may keep a mailbox from being tried: a mistaken one must not silence it for a day."""


class Clock(Protocol):
    """Time, so that a test can drive it."""

    def now(self) -> datetime:
        """Return the wall-clock time (aware, UTC)."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Token(Protocol):
    """A source of access tokens for one tenant."""

    async def header(self) -> str:
        """Return the ready ``Bearer ...`` value; raises AuthError when there is no valid token to be had."""

    async def refresh(self) -> None:
        """Get a fresh token ahead of expiry; a failure keeps the present one while it is valid, and is raised."""

    def drop(self, header: str) -> None:
        """Forget the token if it is still the one refused with 401, unless it was fetched a moment ago."""


class Entry(NamedTuple):
    """One entry of a page. `message` is None for `removed` and where Graph sent too few fields to make one."""

    id: str
    removed: bool = False
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a round: exactly one of the links is set. Links are opaque and go back as they came."""

    entries: tuple[Entry, ...]
    next_link: str | None = None
    delta_link: str | None = None


@dataclass(frozen=True, slots=True)
class SurveyPage:
    """One page of a survey: which messages are in a folder (id, time of receipt), and Graph's link to more."""

    entries: tuple[tuple[str, datetime], ...]
    next_link: str | None = None


Detail = Literal["headers", "attachments", "size"]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What Graph lists of an attachment. `kind` is ``file``, ``item`` (a mail in a mail) or ``reference`` (a link)."""

    id: str
    name: str
    content_type: str
    size: int
    is_inline: bool
    kind: Literal["file", "item", "reference"] = "file"


@dataclass(frozen=True, slots=True)
class Draft:
    """A mail of ours in the mailbox: still a draft, or sent."""

    id: str
    is_draft: bool
    recipients: int = 0


class Drafts(Protocol):
    """The mails of ours in one mailbox. All ids are immutable ids; every method may raise GraphError or AuthError."""

    async def find(self, tag: str, since: datetime) -> tuple[Draft, ...]:
        """Return what carries the tag and is not older than `since`, drafts and sent mail, wherever it lies."""

    async def make(self, message_id: str, action: Letter, tag: str) -> Draft:
        """Make the draft of an answer to the message, of its forward or of a new mail, with the tag; not sent.

        Raises NotFound when the message is gone.
        """

    async def look(self, draft_id: str) -> Draft | None:
        """Return how it stands with a draft; None when there is nothing under that id any more."""

    async def send(self, draft_id: str) -> None:
        """Hand the draft over; after an error that is `temporary` it may have been sent, or not."""

    async def discard(self, draft_id: str) -> None:
        """Delete a draft; one that is gone is none."""


class Mail(Protocol):
    """One mailbox, through Graph. All ids are immutable ids; every method may raise GraphError or AuthError."""

    address: str

    @property
    def answered_at(self) -> float:
        """When Graph has last done what it was asked for this mailbox, by anybody (monotonic seconds); -inf: never."""

    @property
    def drafts(self) -> Drafts:
        """Its mails of ours."""

    async def folder_id(self, name: str) -> str:
        """Resolve a well-known name or a path such as ``Inbox/Done`` to a folder id; NotFound names the lost part."""

    async def delta_page(self, folder: str, folder_id: str, link: str | None, page_size: int) -> Page:
        """Fetch a page of the folder's delta: from `link`, or the first of a full walk when there is none."""

    async def listing_page(
        self, folder: str, folder_id: str, link: str | None, page_size: int, since: datetime | None
    ) -> Page:
        """Fetch a page of the plain listing, oldest first; the last page has no link at all."""

    async def survey_page(
        self, folder: str, folder_id: str, link: str | None, page_size: int, since: datetime | None
    ) -> SurveyPage:
        """Fetch ids and times of receipt alone, oldest first, when nothing else wants the mailbox's budget."""

    async def message(self, message_id: str, folder: str) -> Message | None:
        """Fetch one message; None when it is gone."""

    async def is_gone(self, message_id: str) -> bool:
        """Say whether the mailbox has the message in no folder any more; what is in doubt is raised."""

    async def details(self, message_id: str, wanted: frozenset[Detail]) -> Details:
        """Fetch what rules ask beyond the delta's fields; raises NotFound when the message is gone."""

    async def body(self, message_id: str, kind: Literal["text", "html"]) -> Body:
        """Fetch the text."""

    async def headers(self, message_id: str) -> tuple[tuple[str, str], ...]:
        """Fetch the internet headers."""

    async def attachments(self, message_id: str) -> tuple[FileInfo, ...]:
        """List the attachments, without content."""

    def attachment_content(self, message_id: str, attachment_id: str) -> AsyncIterator[bytes]:
        """Yield an attachment's raw content."""

    def mime(self, message_id: str) -> AsyncIterator[bytes]:
        """Yield the mail as MIME."""

    async def act(self, message_id: str, actions: Sequence[MailAction]) -> str:
        """Carry the actions out in order, idempotently: read, compare, write what differs. Returns what was done.

        A message that is gone needs nothing: the answer says so. One PATCH serves all actions that can share it.
        """


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


@dataclass(frozen=True, slots=True)
class PageCommit:
    """One page with the link that follows it, stored in one transaction.

    Attributes:
        room: Handler -> how many of the page's deliveries may be claimed with it, in the same transaction.
        graph_id: Graph's id of the folder that the page and the link are of.
        advance: False for messages that a round has missed: they are taken in, and the folder stays as it is.
        conclude: Asked about messages that moved here and whose handlers had them before; without, nothing follows.
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
    conclude: Conclude | None = None


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


Conclude = Callable[[Siblings], Sequence[ActionRequest]]
"""Pure: which `then` / `on_failure` actions are due now that these states hold."""


@dataclass(frozen=True, slots=True)
class ActionTask:
    """Recorded mail actions of one origin, claimed for their `attempt`-th try."""

    id: int
    mailbox: str
    message_id: str
    origin: str
    actions: tuple[MailAction, ...]
    attempt: int


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
class SendPlan:
    """A mail about to be sent. `key` is its own for ever; `correspondents` (lower case) are whom it answers."""

    key: str
    mailbox: str
    conversation: str = ""
    correspondents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Traffic:
    """How many mails were sent of late: to the correspondent who got most, about the conversation, in all."""

    correspondent: int = 0
    conversation: int = 0
    mailbox: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a mail is not sent, for good."""

    why: str


@dataclass(frozen=True, slots=True)
class Busy:
    """Why a mail is not sent now."""

    why: str


@dataclass(frozen=True, slots=True)
class Windows:
    """Since when each kind of `Traffic` is counted."""

    correspondent: datetime
    conversation: datetime
    mailbox: datetime


@dataclass(frozen=True, slots=True)
class SendRecord:
    """What is known of a mail to be sent.

    Attributes:
        state: ``reserved`` (counted, no draft known), ``drafted`` (from here on it may have been sent), or ``sent``.
        at: When it was reserved.
        tried_at: When it was last about to be sent.
    """

    key: str
    state: Literal["reserved", "drafted", "sent"]
    at: datetime
    draft_id: str = ""
    note: str = ""
    tried_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HeldHandler:
    """A handler whose deliveries are held, since when the first of the attempts began that failed, and why."""

    handler: str
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class FolderSpec:
    """A folder to watch; `floor` is where its first walk starts dispatching (None: everything)."""

    tenant: str
    mailbox: str
    folder: str
    floor: datetime | None


class Journal(Protocol):
    """The store of mailboxes, messages, deliveries, attempts and mail actions. May raise JournalError."""

    async def recover(self) -> int:
        """Turn what was running when the daemon died back to ready, as suspects; returns how many deliveries.

        Who was no suspect before gets the attempt back: it may only have run beside the culprit.
        """

    async def adopt(self, folders: Sequence[FolderSpec], at: datetime) -> list[WatchedFolder]:
        """Return the stored state of each folder, creating those that are new. A stored floor is kept.

        Names that differ in case or outer slashes alone are one folder, which goes by the spelling that was asked for.
        """

    async def known(self, folder: int, ids: Sequence[str]) -> frozenset[str]:
        """Return those ids that the mailbox of `folder` already has, last seen in this very folder."""

    async def commit_page(self, page: PageCommit) -> PageResult:
        """Store a page: what is new with its deliveries, and the link, or nothing at all.

        A message known in the same folder is suppressed. One known in another folder of the mailbox has moved here:
        it is routed again, and only handlers that never had it get a delivery. One remembered under the floor and now
        met in another watched folder is new. Where all handlers of a rule had the message before it moved here, what
        that rule asks for afterwards is recorded with the page.

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
    ) -> list[Delivery]:
        """Settle what finished and claim what is due, in one transaction.

        In the mailboxes in `quiet` no rule asks for anything afterwards: `conclude` need not be asked about them.

        At most ``room[handler]`` deliveries are claimed for a handler, none for handlers not in `room`, fairly over
        mailboxes, oldest due first. Claimed ones are `running` with their attempt already counted. Of suspects at most
        one is running at any time, beside ordinary deliveries: whoever of them kills the daemon does it again.
        """

    async def hold(self, held: HeldHandler, forgiven: Mapping[int, int], at: datetime) -> None:
        """Remember that a handler's deliveries are held, for who asks the journal and for after a restart.

        `forgiven` says which delivery gets how many attempts back; those of them that are ready are due at `at`.
        """

    async def release(self, handler: str, since: datetime, at: datetime) -> None:
        """Forget that; deliveries of it that failed since and wait for their time are due at `at`."""

    async def held(self) -> list[HeldHandler]:
        """Return the handlers whose deliveries are held."""

    async def next_due(self) -> datetime | None:
        """Return when the earliest ready delivery or mail action is due; None when there is none."""

    async def hasten(self, now: datetime, by: timedelta, latest: datetime) -> int:
        """Have what waits for a time after `now` wait less by so much, and none beyond `latest`; returns how many."""

    async def claim_actions(self, limit: int, now: datetime, busy: Sequence[str] = ()) -> list[ActionTask]:
        """Claim due mail actions, at most one a message, oldest first; messages (Graph ids) in `busy` are left out."""

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
        """Store how it stands with a mail to be sent."""

    async def claim_effect(self, delivery: int, key: str) -> bool:
        """Record an effect of a delivery; False when it was recorded before."""

    async def has_effect(self, delivery: int, key: str) -> bool:
        """Say whether an effect of a delivery was recorded."""

    async def state_get(self, handler: str, key: str) -> str | None:
        """Return a handler's stored JSON text."""

    async def state_set(self, handler: str, key: str, value: str) -> None:
        """Store a handler's JSON text."""

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
        """Forget at most `limit` mails that were reserved before then, and whom they answered; returns how many."""

    async def size(self) -> int:
        """Return how many bytes the journal takes, its write-ahead log included."""

    async def counts(self) -> Mapping[str, int]:
        """Return counts: ``messages``, ``deliveries.<state>`` and ``actions.<state>``."""

    async def close(self) -> None:
        """Finish what is under way and let go of the database."""


class Report(Protocol):
    """Where the pipeline says what happens: log, metrics and health are behind it. Cheap when nobody listens."""

    def event(self, name: str, **fields: Any) -> None:
        """Say that something happened; the names are listed in the reference."""

    def done(self, delivery: Delivery, seconds: float) -> None:
        """Say ``delivery`` with state ``done`` and nothing to add: what becomes of most mail, and so without fields."""

    def problem(self, subject: str, error: BaseException | str, **fields: Any) -> None:
        """Say that `subject` (``mailbox a@b/Inbox``, ``token default``, ``journal`` ...) has failed."""

    def recovered(self, subject: str) -> None:
        """Say that `subject` works; silent unless it had a problem."""

    def progress(self, subject: str) -> None:
        """Feed the watchdog: `subject` got something done."""
