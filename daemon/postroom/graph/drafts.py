"""Mails of ours: made as drafts with a tag by which they are found again, looked at, handed over, deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from postroom.errors import GraphError, Refused
from postroom.failpoints import reach
from postroom.graph.call import Call
from postroom.graph.classify import item_is_gone
from postroom.graph.client import GraphClient
from postroom.graph.decode import decode
from postroom.graph.paging import pages
from postroom.graph.tolerant import dumps
from postroom.graph.urls import DRAFT_FIELDS, Urls
from postroom.graph.wire import WireDraft, WireDrafts
from postroom.model import Forward, Reply, Send
from postroom.outgoing import MOST_RECIPIENTS, TAG_HEADER, Letter, one_line
from postroom.ports import Draft

TAG_PROPERTY: Final = "String {5a1a1c52-8f0b-4c9e-9b57-0f6d3f2c7b1e} Name PostroomTag"
"""A named property of our own: the mail's copy in Sent Items has it too, while its headers are not to be had there
(OfficeDev/office-js#5413)."""
SUPPRESS: Final = ("X-Auto-Response-Suppress", "All")
"""What keeps Exchange and its like from answering. `Auto-Submitted` cannot be had: Graph takes no header that does not
begin with ``x-`` (LEARN api/resources/message), and Exchange drops it from MIME (msgraph-sdk-dotnet#2209)."""

_JSON = {"Content-Type": "application/json"}
_NO_MARKUP = str.maketrans("<>", "\u2039\u203a")


class Drafts:
    """The mails of ours in one mailbox; see `ports.Drafts`. `headers` ask for immutable ids."""

    def __init__(self, client: GraphClient, urls: Urls, mailbox: str, headers: Mapping[str, str]) -> None:
        self._client = client
        self._urls = urls
        self._mailbox = mailbox
        self._headers = headers

    async def find(self, tag: str, since: datetime) -> tuple[Draft, ...]:
        """Return what carries the tag and is not older than `since`, drafts and sent mail, wherever it lies.

        All pages are asked for: an empty one may have a nextLink, for Graph filters what it has fetched.
        """

        def asked(url: str) -> Call:
            return Call("GET", url, self._mailbox, f"looking for a mail of ours in {self._mailbox}", self._headers)

        first = asked(self._urls.tagged(TAG_PROPERTY, tag, since))
        return tuple(
            _draft(each) for page in await pages(self._client, WireDrafts, first, asked) for each in page.value
        )

    async def make(self, message_id: str, action: Letter, tag: str) -> Draft:
        """Make the draft, not sent; raises NotFound when the message is gone, Refused when it goes to too many."""
        url, body = self._wanted(message_id, action, tag)
        reach("send.drafting")
        answer = await self._write("POST", url, "drafting a mail", dumps(body), success=201)
        made = decode(WireDraft, answer, doing=f"drafting a mail of {self._mailbox}", mailbox=self._mailbox)
        reach("send.drafted")
        draft = _draft(made)
        if draft.recipients > MOST_RECIPIENTS:
            await self.discard(draft.id)
            raise Refused(
                f"A mail of {self._mailbox} would go to {draft.recipients} addresses; {MOST_RECIPIENTS} are allowed.",
                code="TooManyRecipients",
                remedy="Answer such mail by hand.",
                mailbox=self._mailbox,
            )
        return draft

    async def look(self, draft_id: str) -> Draft | None:
        """Return how it stands with a draft; None when there is nothing under that id any more."""
        doing = f"looking at a mail of ours in {self._mailbox}"
        url = self._urls.message(draft_id, DRAFT_FIELDS)
        try:
            answer = await self._client.fetch(Call("GET", url, self._mailbox, doing, self._headers))
        except GraphError as error:
            if item_is_gone(error):
                return None
            raise
        return _draft(decode(WireDraft, answer, doing=doing, mailbox=self._mailbox))

    async def send(self, draft_id: str) -> None:
        """Hand the draft over; after an error that is `temporary` it may have been sent, or not."""
        await self._write("POST", self._urls.send(draft_id), "sending a mail", success=202)
        reach("send.accepted")

    async def discard(self, draft_id: str) -> None:
        """Delete a draft; one that is gone is none."""
        try:
            await self._write("DELETE", self._urls.message(draft_id), "deleting a draft", success=204)
        except GraphError as error:
            if not item_is_gone(error):
                raise

    def _wanted(self, message_id: str, action: Letter, tag: str) -> tuple[str, dict[str, Any]]:
        """Return where to ask for the draft, and with what."""
        marks = _marks(tag)
        match action:
            case Reply(text, subject, to_all):
                message = {**marks, "body": _plain(text), **({"subject": one_line(subject)} if subject else {})}
                url = self._urls.answer(message_id, "createReplyAll" if to_all else "createReply")
                return url, {"message": message}
            case Forward(to, comment):
                inner = {**marks, "toRecipients": _recipients(to)}
                url = self._urls.answer(message_id, "createForward")
                # Whether Graph takes the comment for text or for HTML is not said: it has no markup either way.
                return url, {"message": inner, "comment": comment.translate(_NO_MARKUP)}
            case Send(to, subject, text, cc):
                to_whom = {"toRecipients": _recipients(to), "ccRecipients": _recipients(cc)}
                return self._urls.new_message(), {
                    **marks,
                    **to_whom,
                    "subject": one_line(subject),
                    "body": _plain(text),
                }

    async def _write(self, method: str, url: str, verb: str, body: bytes | None = None, *, success: int) -> bytes:
        """Write without trying again what may have been carried out."""
        headers = {**self._headers, **_JSON} if body is not None else self._headers
        doing = f"{verb} of {self._mailbox}"
        call = Call(method, url, self._mailbox, doing, headers, body, repeatable=False, success=success)
        return await self._client.fetch(call)


def _marks(tag: str) -> dict[str, Any]:
    """Return what every mail of ours carries; a request may set five headers (seen from clients of Graph)."""
    headers = ((TAG_HEADER, tag), SUPPRESS)
    return {
        "singleValueExtendedProperties": [{"id": TAG_PROPERTY, "value": tag}],
        "internetMessageHeaders": [{"name": name, "value": value} for name, value in headers],
    }


def _plain(text: str) -> dict[str, str]:
    return {"contentType": "text", "content": text}


def _recipients(addresses: Iterable[str]) -> list[dict[str, Any]]:
    return [{"emailAddress": {"address": address}} for address in addresses]


def _draft(wire: WireDraft) -> Draft:
    return Draft(wire.id, wire.is_draft, len(wire.to or ()) + len(wire.cc or ()))
