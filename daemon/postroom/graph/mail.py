"""One mailbox through Graph: the adapter behind `ports.Mail`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Literal

from postroom.errors import GraphError, NotFound, Unavailable
from postroom.graph.actions import Actions
from postroom.graph.attachments import Attachments
from postroom.graph.budget import Priority
from postroom.graph.call import Call
from postroom.graph.classify import item_is_gone
from postroom.graph.client import GraphClient
from postroom.graph.decode import decode, decode_message, decode_page
from postroom.graph.drafts import Drafts
from postroom.graph.folders import Folders
from postroom.graph.snapshot import entries, message, placed
from postroom.graph.urls import MESSAGE_FIELDS, Urls
from postroom.graph.wire import WireDetail, WirePage
from postroom.model import Body, Details, MailAction, Message
from postroom.ports import Detail, FileInfo, Page, SurveyPage

IMMUTABLE = 'IdType="ImmutableId"'
"""Goes with each request that carries or returns message ids: it counts for that one alone (outlook-immutable-id)."""

_PREFER = {"Prefer": IMMUTABLE}


class MailboxMail:
    """One mailbox; see `ports.Mail`. All ids are immutable ids.

    Args:
        address: SMTP address or object id of the mailbox.
    """

    def __init__(self, client: GraphClient, address: str) -> None:
        self.address = address
        self._client = client
        self._urls = Urls(client.root, address)
        self._folders = Folders(client, self._urls, address)
        self._files = Attachments(client, self._urls, address, _PREFER)
        self._actions = Actions(client, self._urls, self._folders, address, _PREFER)
        self.drafts = Drafts(client, self._urls, address, _PREFER)

    @property
    def answered_at(self) -> float:
        """When Graph has last done what it was asked for this mailbox, by anybody (monotonic seconds); -inf: never."""
        return self._client.budgets.of(self.address).answered_at

    @property
    def closed_for(self) -> float:
        """Seconds until the mailbox may be asked again, because Graph throttles it or its budget is used up; 0: now."""
        return self._client.budgets.of(self.address).closed_for

    async def folder_id(self, name: str) -> str:
        """Resolve a well-known name or a path such as ``Inbox/Done`` to a folder id; NotFound names the lost part."""
        return await self._folders.find(name)

    async def delta_page(self, folder: str, folder_id: str, link: str | None, page_size: int) -> Page:
        """Fetch a page of the folder's delta: from `link`, or the first of a full walk when there is none."""
        prefer = {"Prefer": f"{IMMUTABLE}, odata.maxpagesize={page_size}"}
        page = await self._page(folder, folder_id, link or self._urls.delta(folder_id), prefer)
        if (page.next_link is None) == (page.delta_link is None):
            raise self._broken(folder, "exactly one of nextLink and deltaLink is due")
        return Page(entries(page, self.address, folder), page.next_link, page.delta_link)

    async def listing_page(
        self, folder: str, folder_id: str, link: str | None, page_size: int, since: datetime | None
    ) -> Page:
        """Fetch a page of the plain listing, oldest first; the last page has no link at all."""
        url = link or self._urls.listing(folder_id, page_size, since)
        page = await self._page(folder, folder_id, url, _PREFER)
        return Page(entries(page, self.address, folder), page.next_link)

    async def survey_page(
        self, folder: str, folder_id: str, link: str | None, page_size: int, since: datetime | None
    ) -> SurveyPage:
        """Fetch ids and times of receipt alone, oldest first, when nothing else wants the mailbox's budget."""
        url = link or self._urls.survey(folder_id, page_size, since)
        page = await self._page(folder, folder_id, url, _PREFER, Priority.REST)
        return SurveyPage(placed(page), page.next_link)

    async def message(self, message_id: str, folder: str) -> Message | None:
        """Fetch one message; None when it is gone."""
        call = self._read(self._urls.message(message_id, MESSAGE_FIELDS), "a message")
        try:
            body = await self._fetch(call)
        except NotFound:
            return None
        found = message(decode_message(body, doing=call.doing, mailbox=self.address), self.address, folder)
        if found is None:
            raise self._broken(folder, "a message has no id or no time of receipt")
        return found

    async def is_gone(self, message_id: str) -> bool:
        """Say whether the mailbox has the message in no folder any more; what is in doubt is raised."""
        call = self._read(self._urls.message(message_id, "id"), "whether a message is there")
        try:
            await self._fetch(replace(call, priority=Priority.REST))
        except NotFound:
            return True
        return False

    async def details(self, message_id: str, wanted: frozenset[Detail]) -> Details:
        """Fetch what rules ask beyond the delta's fields; raises NotFound when the message is gone."""
        headers, size, names = None, None, None
        if wanted & {"headers", "size"}:
            detail = await self._detail(message_id, headers="headers" in wanted, size="size" in wanted)
            headers = _headers(detail) if "headers" in wanted else None
            size = _size(detail) if "size" in wanted else None
        if "attachments" in wanted:
            names = tuple(each.name for each in await self.attachments(message_id) if not each.is_inline)
        return Details(headers, names, size)

    async def body(self, message_id: str, kind: Literal["text", "html"]) -> Body:
        """Fetch the text."""
        prefer = {"Prefer": f'{IMMUTABLE}, outlook.body-content-type="{kind}"'}
        call = self._read(self._urls.detail(message_id, ("body",), size=False), "the text of a message", prefer)
        body = decode(WireDetail, await self._fetch(call), doing=call.doing, mailbox=self.address).body
        if body is None:
            return Body(kind, "")
        return Body((body.content_type or kind).lower(), body.content or "")

    async def headers(self, message_id: str) -> tuple[tuple[str, str], ...]:
        """Fetch the internet headers."""
        return _headers(await self._detail(message_id, headers=True, size=False))

    async def attachments(self, message_id: str) -> tuple[FileInfo, ...]:
        """List the attachments, without content."""
        try:
            return await self._files.listed(message_id)
        except NotFound as error:
            raise self._item_error(error) from error

    async def attachment_content(self, message_id: str, attachment_id: str) -> AsyncIterator[bytes]:
        """Yield an attachment's raw content."""
        try:
            async with aclosing(self._files.content(message_id, attachment_id)) as pieces:
                async for piece in pieces:
                    yield piece
        except NotFound as error:
            raise self._item_error(error) from error

    async def mime(self, message_id: str) -> AsyncIterator[bytes]:
        """Yield the mail as MIME."""
        headers = {**_PREFER, "Accept": "*/*"}
        call = self._read(self._urls.mime(message_id), "a message as MIME", headers)
        try:
            async with aclosing(self._client.stream(call)) as pieces:
                async for piece in pieces:
                    yield piece
        except NotFound as error:
            raise self._item_error(error) from error

    async def act(self, message_id: str, actions: Sequence[MailAction]) -> str:
        """Carry the actions out in order, idempotently: read, compare, write what differs. Returns what was done."""
        return await self._actions.act(message_id, actions)

    async def _page(
        self, folder: str, folder_id: str, url: str, headers: Mapping[str, str], priority: Priority = Priority.POLL
    ) -> WirePage:
        doing = f"reading {folder} of {self.address}"
        call = Call("GET", url, self.address, doing, headers, priority=priority)
        try:
            page = decode_page(await self._client.fetch(call), doing=doing, mailbox=self.address)
        except NotFound:
            self._folders.forget(folder_id)
            raise
        for link in (page.next_link, page.delta_link):
            if link is not None:
                self._check(link, folder)
        return page

    def _check(self, link: str, folder: str) -> None:
        """Refuse a link before it is stored: it must lead to Graph, and to a mailbox."""
        self._client.check_link(link, self.address)
        if "/users//" in link:
            raise self._broken(folder, "a link names no mailbox")

    async def _detail(self, message_id: str, *, headers: bool, size: bool) -> WireDetail:
        fields = ("internetMessageHeaders",) if headers else ()
        call = self._read(self._urls.detail(message_id, fields, size=size), "headers of a message")
        return decode(WireDetail, await self._fetch(call), doing=call.doing, mailbox=self.address)

    def _read(self, url: str, what: str, headers: Mapping[str, str] = _PREFER) -> Call:
        doing = f"reading {what} of {self.address}"
        return Call("GET", url, self.address, doing, headers, priority=Priority.HANDLER, single=True)

    async def _fetch(self, call: Call) -> bytes:
        """Fetch something of a message; NotFound then means that the message is gone, and nothing else."""
        try:
            return await self._client.fetch(call)
        except NotFound as error:
            raise self._item_error(error) from error

    def _item_error(self, error: NotFound) -> GraphError:
        """A mailbox that cannot be found says nothing about its messages: they must not count as gone."""
        if item_is_gone(error):
            return error
        return Unavailable(
            error.message,
            status=error.status,
            code=error.code,
            inner_code=error.inner_code,
            request_id=error.request_id,
            remedy=error.remedy,
            mailbox=self.address,
        )

    def _broken(self, folder: str, what: str) -> Unavailable:
        return Unavailable(
            f"While reading {folder} of {self.address}, Graph broke its rules: {what}.",
            code="StrangeAnswer",
            remedy="It is tried again; if it lasts, look for something between here and Graph that rewrites answers.",
            mailbox=self.address,
        )


def _headers(detail: WireDetail) -> tuple[tuple[str, str], ...]:
    return tuple((each.name, each.value or "") for each in detail.internet_message_headers or () if each.name)


def _size(detail: WireDetail) -> int | None:
    """Read PidTagMessageSize; it is the only property asked for."""
    value = next((each.value for each in detail.properties or () if each.value), "")
    return int(value) if value.isdecimal() else None
