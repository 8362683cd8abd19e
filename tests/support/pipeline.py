"""Stand-ins at the pipeline's border: a mailbox that follows a script, a journal that fails, a report that listens."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from postroom.journal import SqlJournal
from postroom.model import Body, Delivery, Details, Done, MailAction, Message, RetryPolicy
from postroom.pipeline.desk import Desk, OpenHandler
from postroom.plugin import Context, Handler, Options
from postroom.ports import Detail, Entry, FileInfo, MatchedRule, NewMessage, Page, PageCommit, SurveyPage, WatchedFolder
from postroom.rule import AllOf, Rule
from postroom.testing import ManualClock, make_message
from postroom.testing.clock import START

MAILBOX = "invoices@contoso.example"
ALWAYS = AllOf(())

Answer = Page | BaseException | Callable[[], Any]


def mail_at(minutes: float, **fields: Any) -> Message:
    """Return a mail received that many minutes after the clock's start."""
    return make_message(received_at=START + timedelta(minutes=minutes), **fields)


def page(*messages: Message | Entry, next_link: str | None = None, delta_link: str | None = None) -> Page:
    """Return a page of these messages."""
    entries = tuple(each if isinstance(each, Entry) else Entry(each.id, message=each) for each in messages)
    return Page(entries, next_link, delta_link)


class Notes:
    """A `ports.Report` that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.problems: list[tuple[str, BaseException | str]] = []
        self.well: list[str] = []
        self.fed: Counter[str] = Counter()

    def event(self, name: str, **fields: Any) -> None:
        self.events.append((name, fields))

    def done(self, delivery: Delivery, seconds: float) -> None:
        self.event("delivery", **delivery.labels, state="done", seconds=seconds)

    def problem(self, subject: str, error: BaseException | str, **fields: Any) -> None:
        self.problems.append((subject, error))

    def recovered(self, subject: str) -> None:
        self.well.append(subject)

    def progress(self, subject: str) -> None:
        self.fed[subject] += 1

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the fields of all events of that name."""
        return [fields for event, fields in self.events if event == name]


class ScriptedMail:
    """A `ports.Mail` that answers each link with what the script says; the last answer of a link stays.

    Attributes:
        delta: Link (None: the beginning) -> answers, in order: pages, errors to raise, or functions to call.
        listing: The folder's mail, for listing mode: really filtered, ordered and paged by position.
        requests: What was asked, in order.
    """

    def __init__(self, address: str = MAILBOX) -> None:
        self.address = address
        self.answered_at = -math.inf
        self.closed_for = 0.0
        self.delta: dict[str | None, deque[Answer]] = defaultdict(deque)
        self.listing: list[Message] = []
        self.messages: dict[str, deque[Message | BaseException | None]] = defaultdict(deque)
        self.gone: set[str] = set()
        self.headers_of: dict[str, list[tuple[str, str]]] = {}
        self.detail: dict[str, deque[Details | BaseException]] = defaultdict(deque)
        self.acts: deque[str | BaseException | Callable[[], Any]] = deque()
        self.acted: list[tuple[str, tuple[MailAction, ...]]] = []
        self.folder_ids: deque[str | BaseException] = deque(["folder-id"])
        self.requests: list[tuple[Any, ...]] = []
        self.under_way = 0
        self.most_under_way = 0

    def script(self, link: str | None, *answers: Answer) -> None:
        """Say what a link answers."""
        self.delta[link].extend(answers)

    async def folder_id(self, name: str) -> str:
        return _next(self.folder_ids)

    async def delta_page(self, folder: str, folder_id: str, link: str | None, page_size: int) -> Page:
        self.requests.append(("delta", link))
        answer = _next(self.delta[link])
        return await answer() if callable(answer) else answer

    async def listing_page(
        self, folder: str, folder_id: str, link: str | None, page_size: int, since: datetime | None
    ) -> Page:
        self.requests.append(("listing", since, link))
        found = sorted(
            (each for each in self.listing if since is None or each.received_at >= since),
            key=lambda each: each.received_at,
        )
        start = int(link or 0)
        more = start + page_size < len(found)
        return page(*found[start : start + page_size], next_link=str(start + page_size) if more else None)

    async def survey_page(
        self, folder: str, folder_id: str, link: str | None, page_size: int, since: datetime | None
    ) -> SurveyPage:
        self.requests.append(("survey", since, link))
        found = await self.listing_page(folder, folder_id, link, page_size, since)
        self.requests.pop()
        entries = [(entry.id, entry.message.received_at) for entry in found.entries if entry.message]
        return SurveyPage(tuple(entries), found.next_link)

    async def message(self, message_id: str, folder: str) -> Message | None:
        self.requests.append(("message", message_id))
        return _next(self.messages[message_id])

    async def is_gone(self, message_id: str) -> bool:
        return message_id in self.gone

    async def details(self, message_id: str, wanted: frozenset[Detail]) -> Details:
        self.requests.append(("details", message_id, wanted))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            return _next(self.detail[message_id])
        finally:
            self.under_way -= 1

    async def body(self, message_id: str, kind: str) -> Body:
        return Body(kind, "text")

    async def headers(self, message_id: str) -> tuple[tuple[str, str], ...]:
        return tuple(self.headers_of.get(message_id, ()))

    async def attachments(self, message_id: str) -> tuple[FileInfo, ...]:
        return ()

    async def attachment_content(self, message_id: str, attachment_id: str) -> AsyncIterator[bytes]:
        yield b"content"

    async def mime(self, message_id: str) -> AsyncIterator[bytes]:
        yield b"From: a@b\r\n\r\n"
        yield b"text"

    async def act(self, message_id: str, actions: Sequence[MailAction]) -> str:
        self.acted.append((message_id, tuple(actions)))
        answer = _next(self.acts) if self.acts else "done"
        return await answer() if callable(answer) else answer


def _next(answers: deque[Any]) -> Any:
    """Take the next answer and leave the last one; an error is raised."""
    if not answers:
        raise AssertionError("the script has no answer to this")
    answer = answers.popleft() if len(answers) > 1 else answers[0]
    if isinstance(answer, BaseException):
        raise answer
    return answer


class FailingJournal:
    """The real journal, each of whose methods can be made to fail, and which counts calls."""

    def __init__(self, journal: SqlJournal) -> None:
        self.real = journal
        self.calls: Counter[str] = Counter()
        self.failures: dict[str, deque[BaseException]] = defaultdict(deque)
        self.before: dict[str, Callable[[], Any]] = {}
        self.after: dict[str, Callable[[], Any]] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.real, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            if name in self.before:
                await self.before[name]()
            if self.failures[name]:
                raise self.failures[name].popleft()
            answer = await method(*args, **kwargs)
            if name in self.after:
                await self.after[name]()
            return answer

        return call


class Plain(Options):
    """No options."""


class Scripted(Handler[Plain]):
    """Does what a function says, and counts how many run at once."""

    def __init__(self, work: Callable[[Message, Context], Any] | None = None) -> None:
        super().__init__(Plain())
        self.work = work
        self.ran: list[tuple[str, int]] = []
        self.under_way = 0
        self.most_under_way = 0

    async def handle(self, message: Message, context: Context) -> Any:
        """Note the run, then do it."""
        self.ran.append((message.id, context.attempt))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            answer = self.work(message, context) if self.work is not None else Done()
            return await answer if asyncio.iscoroutine(answer) else answer
        finally:
            self.under_way -= 1


def opened(name: str, handler: Handler[Any] | None = None, **fields: Any) -> OpenHandler:
    """Return an open handler."""
    limits = {"retry": RetryPolicy(3, 10.0, 100.0), "timeout": 5.0, "concurrency": 10}
    return OpenHandler(name, handler or Scripted(), **(limits | fields))


def desk(*handlers: OpenHandler, mail: Any = None, rules: Sequence[Rule] = (), **fields: Any) -> Desk:
    """Return a desk with these handlers and one mailbox."""
    return Desk(
        {each.name: each for each in handlers},
        {MAILBOX: mail or ScriptedMail()},
        {MAILBOX: {rule.name: rule for rule in rules}},
        None,
        **fields,
    )


def delivery(attempt: int = 1, **fields: Any) -> Delivery:
    """Return a delivery that was claimed for its `attempt`-th run."""
    known = {"id": 1, "message_id": 1, "message": make_message(), "handler": "erp", "rule": "all", "attempt": attempt}
    return Delivery(**(known | fields))


async def deliver(
    journal: Any, folder: WatchedFolder, clock: ManualClock, *handlers: str, count: int = 1, rule: str = "all"
) -> list[Message]:
    """Put new messages into the journal, each with a delivery for every handler."""
    messages = [make_message(mailbox=folder.mailbox) for _ in range(count)]
    new = [NewMessage(message, (MatchedRule(rule, handlers),)) for message in messages]
    await journal.commit_page(PageCommit(folder.key, new, "link", "round", clock.now()))
    return messages


async def until(condition: Callable[[], bool], limit: float = 5.0) -> None:
    """Wait until the condition holds; raises TimeoutError after `limit` seconds."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of tests
            await asyncio.sleep(0.002)


async def counted(journal: FailingJournal, name: str, least: int, limit: float = 10.0) -> None:
    """Wait until the journal counts so many, such as of ``deliveries.done``; raises TimeoutError after `limit`."""
    async with asyncio.timeout(limit):
        while (await journal.real.counts()).get(name, 0) < least:  # noqa: ASYNC110 - a database says nothing by itself
            await asyncio.sleep(0.002)
