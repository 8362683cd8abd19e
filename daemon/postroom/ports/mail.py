"""One mailbox as the pipeline sees it; the adapter is `graph`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, Protocol

from postroom.model import Body, Details, MailAction, Message
from postroom.outgoing import Letter

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Between these are all times that are told of a message: its sender may name others, which nobody can count with."""

GONE: Final = "the message is gone"
"""What `Mail.act` answers where it found no message. One such answer happens also to a message that is there."""


class Entry(NamedTuple):
    """One entry of a page.

    Attributes:
        message: None for `removed` and where Graph sent too few fields to make one.
        received_at: The time of receipt where Graph sent that, but too few fields to make a message.
    """

    id: str
    removed: bool = False
    message: Message | None = None
    received_at: datetime | None = None


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
    def closed_for(self) -> float:
        """Seconds until the mailbox may be asked again, because Graph throttles it or its budget is used up; 0: now."""

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

        A message that is gone needs nothing: the answer is `GONE` then. One PATCH serves all actions that can share it.
        """
