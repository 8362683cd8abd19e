"""The URLs of Graph's mail API, quoted so that no id and no address can break out of its place. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import quote

MESSAGE_FIELDS = (
    "id,receivedDateTime,sentDateTime,subject,from,sender,toRecipients,ccRecipients,replyTo,internetMessageId,"
    "conversationId,importance,categories,isRead,hasAttachments,bodyPreview,parentFolderId"
)
"""What a snapshot is made of, and nothing more: the body is fetched by those who want it."""

STATE_FIELDS = "id,parentFolderId,isRead,categories,flag"
DRAFT_FIELDS = "id,isDraft"
FOLDER_FIELDS = "id,displayName"
ATTACHMENT_FIELDS = "id,name,contentType,size,isInline"
SIZE_PROPERTY = "Integer 0x0E08"
"""PidTagMessageSize: Graph has no property of its own for a message's size."""

_FOLDERS_AT_ONCE = 100
_TAGGED_AT_ONCE = 20


class Urls:
    """The URLs of one mailbox.

    Args:
        root: Root of Graph with its version.
        mailbox: Address or object id.
    """

    def __init__(self, root: str, mailbox: str) -> None:
        self._user = f"{root}/users/{_segment(mailbox)}"

    def delta(self, folder_id: str) -> str:
        """Start of a round; never with `$top`, which would cap the whole round (message-delta behaviour)."""
        return f"{self._folder(folder_id)}/messages/delta?$select={MESSAGE_FIELDS}"

    def listing(self, folder_id: str, page_size: int, since: datetime | None) -> str:
        """Plain listing, oldest first; what is ordered by must be filtered by first (list-messages docs)."""
        return self._listed(folder_id, MESSAGE_FIELDS, page_size, since)

    def survey(self, folder_id: str, page_size: int, since: datetime | None) -> str:
        """Plain listing of ids and times of receipt alone, oldest first."""
        return self._listed(folder_id, "id,receivedDateTime", page_size, since)

    def message(self, message_id: str, select: str = "") -> str:
        """One message, by immutable id."""
        return f"{self._user}/messages/{_segment(message_id)}{f'?$select={select}' if select else ''}"

    def detail(self, message_id: str, fields: Iterable[str], *, size: bool) -> str:
        """One message with the fields named; its size comes as an extended property."""
        expand = (
            f"&$expand={_option(f'singleValueExtendedProperties($filter=id eq {SIZE_PROPERTY!r})')}" if size else ""
        )
        return f"{self.message(message_id, ','.join(('id', *fields)))}{expand}"

    def mime(self, message_id: str) -> str:
        """The message as MIME."""
        return f"{self.message(message_id)}/$value"

    def move(self, message_id: str) -> str:
        """The move action."""
        return f"{self.message(message_id)}/move"

    def answer(self, message_id: str, action: str) -> str:
        """An action that makes the draft of an answer: createReply, createReplyAll, createForward."""
        return f"{self.message(message_id)}/{action}"

    def new_message(self) -> str:
        """Where a draft is made."""
        return f"{self._user}/messages"

    def send(self, draft_id: str) -> str:
        """The send action of a draft."""
        return f"{self.message(draft_id)}/send"

    def tagged(self, name: str, value: str, since: datetime) -> str:
        """The messages with this value of an extended property; the time keeps Exchange from looking at all of them."""
        text = f"singleValueExtendedProperties/any(p:p/id eq {name!r} and p/value eq {value!r})"
        options = f"$select={DRAFT_FIELDS}&$top={_TAGGED_AT_ONCE}"
        return f"{self._user}/messages?{options}&$filter={_option(f'receivedDateTime ge {_utc(since)} and {text}')}"

    def attachments(self, message_id: str, select: str = ATTACHMENT_FIELDS) -> str:
        """The list of attachments, without content."""
        return f"{self.message(message_id)}/attachments?$select={select}"

    def attachment(self, message_id: str, attachment_id: str) -> str:
        """One attachment, without content."""
        return f"{self.message(message_id)}/attachments/{_segment(attachment_id)}?$select={ATTACHMENT_FIELDS}"

    def attachment_content(self, message_id: str, attachment_id: str) -> str:
        """The raw content of one attachment."""
        return f"{self.message(message_id)}/attachments/{_segment(attachment_id)}/$value"

    def folder(self, folder_id: str) -> str:
        """One folder, by id or well-known name."""
        return f"{self._folder(folder_id)}?$select={FOLDER_FIELDS}"

    def children(self, parent_id: str | None) -> str:
        """The folders in a folder, or those at the top."""
        return f"{self.new_folder(parent_id)}?$select={FOLDER_FIELDS}&$top={_FOLDERS_AT_ONCE}"

    def new_folder(self, parent_id: str | None) -> str:
        """Where a folder is made."""
        return f"{self._user}/mailFolders" if parent_id is None else f"{self._folder(parent_id)}/childFolders"

    def _listed(self, folder_id: str, select: str, page_size: int, since: datetime | None) -> str:
        floor = "" if since is None else f"&$filter={_option(f'receivedDateTime ge {_utc(since)}')}"
        fields = f"$select={select}&$orderby=receivedDateTime&$top={page_size}"
        return f"{self._folder(folder_id)}/messages?{fields}{floor}"

    def _folder(self, folder_id: str) -> str:
        return f"{self._user}/mailFolders/{_segment(folder_id)}"


def _segment(text: str) -> str:
    """Quote one part of a path; ``.`` and ``..`` would be resolved away by servers and proxies."""
    return quote(text, safe="@=") if text not in {".", ".."} else text.replace(".", "%2E")


def _option(text: str) -> str:
    return quote(text, safe="$=(),':")


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
