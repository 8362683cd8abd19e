"""The attachments of a message: listed without content, streamed one by one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from postroom.errors import Refused, Unavailable
from postroom.graph.budget import Priority
from postroom.graph.call import Call
from postroom.graph.client import GraphClient
from postroom.graph.decode import decode
from postroom.graph.paging import pages
from postroom.graph.snapshot import file_info
from postroom.graph.urls import ATTACHMENT_FIELDS, Urls
from postroom.graph.wire import WireAttachment, WireAttachments
from postroom.ports import FileInfo


class Attachments:
    """The attachments of one mailbox's messages; `headers` ask for immutable ids."""

    def __init__(self, client: GraphClient, urls: Urls, mailbox: str, headers: Mapping[str, str]) -> None:
        self._client = client
        self._urls = urls
        self._mailbox = mailbox
        self._headers = headers

    async def listed(self, message_id: str) -> tuple[FileInfo, ...]:
        """List them all. Graph can fail on many or large ones: then ids first, and each on its own."""
        try:
            found = await self._pages(message_id, ATTACHMENT_FIELDS)
        except (Unavailable, Refused) as error:
            if error.status == 0:  # not Graph's answer: asking in another way does not help
                raise
            ids = await self._pages(message_id, "id")
            found = [await self._one(message_id, each.id) for each in ids]
        return tuple(file_info(each) for each in found if each.id)

    async def content(self, message_id: str, attachment_id: str) -> AsyncGenerator[bytes, None]:
        """Yield raw content: the file's bytes, or MIME for a mail in a mail; a link has none (405)."""
        url = self._urls.attachment_content(message_id, attachment_id)
        call = self._call(url, f"reading an attachment in {self._mailbox}", accept="*/*")
        async with aclosing(self._client.stream(call)) as pieces:
            async for piece in pieces:
                yield piece

    async def _pages(self, message_id: str, select: str) -> list[WireAttachment]:
        doing = f"listing attachments in {self._mailbox}"
        first = self._call(self._urls.attachments(message_id, select), doing)
        found = await pages(self._client, WireAttachments, first, lambda link: self._call(link, doing))
        return [each for page in found for each in page.value]

    async def _one(self, message_id: str, attachment_id: str) -> WireAttachment:
        doing = f"reading about an attachment in {self._mailbox}"
        body = await self._client.fetch(self._call(self._urls.attachment(message_id, attachment_id), doing))
        return decode(WireAttachment, body, doing=doing, mailbox=self._mailbox)

    def _call(self, url: str, doing: str, accept: str = "application/json") -> Call:
        return Call("GET", url, self._mailbox, doing, {**self._headers, "Accept": accept}, priority=Priority.HANDLER)
