"""Graph's JSON as typed structs; only fields that are used are there.

Any field may be missing or null, whatever the metadata says.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType, field


class WireEmail(Struct, gc=False):
    """emailAddress."""

    name: str | None = None
    address: str | None = None


class WireRecipient(Struct, gc=False, rename="camel"):
    """recipient. Its properties are what `model.Address` is made of; they raise AttributeError where there is none."""

    email_address: WireEmail | None = None

    @property
    def name(self) -> str | None:
        """The name shown beside the address."""
        return self.email_address.name  # type: ignore[union-attr] # see above

    @property
    def address(self) -> str | None:
        """The address."""
        return self.email_address.address  # type: ignore[union-attr] # see above


class WireFlag(Struct, gc=False, rename="camel"):
    """followupFlag."""

    flag_status: str | None = None


class WireMessage(Struct, gc=False, rename="camel"):
    """message, as `$select` asks for it; UNSET where a partial update leaves a field out.

    The attributes are called as in `model.Message`, so that msgspec can make one of the other. `mailbox` and `folder`
    are not Graph's: whoever asked for the message fills them in.
    """

    id: str | None = None
    mailbox: str = ""
    folder: str = ""
    removed: dict[str, Any] | None = field(name="@removed", default=None)
    received_at: datetime | None = field(name="receivedDateTime", default=None)
    sent_at: datetime | None = field(name="sentDateTime", default=None)
    subject: str | UnsetType | None = UNSET
    sender: WireRecipient | None = field(name="from", default=None)
    sent_from: WireRecipient | None = field(name="sender", default=None)
    to: list[WireRecipient | None] | UnsetType | None = field(name="toRecipients", default=UNSET)
    cc: list[WireRecipient | None] | None = field(name="ccRecipients", default=None)
    reply_to: list[WireRecipient | None] | None = None
    internet_message_id: str | None = None
    conversation_id: str | None = None
    importance: str | None = None
    categories: list[str | None] | None = None
    is_read: bool | None = None
    has_attachments: bool | UnsetType | None = UNSET
    preview: str | None = field(name="bodyPreview", default=None)


class WirePage(Struct, gc=False):
    """A page of messages."""

    value: list[WireMessage]
    next_link: str | None = field(name="@odata.nextLink", default=None)
    delta_link: str | None = field(name="@odata.deltaLink", default=None)


class WireFolder(Struct, gc=False, rename="camel"):
    """mailFolder."""

    id: str = ""
    display_name: str | None = None


class WireFolders(Struct, gc=False):
    """A page of folders."""

    value: list[WireFolder]
    next_link: str | None = field(name="@odata.nextLink", default=None)


class WireAttachment(Struct, gc=False, rename="camel"):
    """attachment, without content."""

    id: str = ""
    kind: str | None = field(name="@odata.type", default=None)
    name: str | None = None
    content_type: str | None = None
    size: int | None = None
    is_inline: bool | None = None


class WireAttachments(Struct, gc=False):
    """A page of attachments."""

    value: list[WireAttachment]
    next_link: str | None = field(name="@odata.nextLink", default=None)


class WireHeader(Struct, gc=False):
    """internetMessageHeader."""

    name: str | None = None
    value: str | None = None


class WireProperty(Struct, gc=False):
    """singleValueLegacyExtendedProperty."""

    id: str | None = None
    value: str | None = None


class WireBody(Struct, gc=False, rename="camel"):
    """itemBody."""

    content_type: str | None = None
    content: str | None = None


class WireDetail(Struct, gc=False, rename="camel"):
    """message, with the fields that are read one by one."""

    internet_message_headers: list[WireHeader] | None = None
    properties: list[WireProperty] | None = field(name="singleValueExtendedProperties", default=None)
    body: WireBody | None = None


class WireState(Struct, gc=False, rename="camel"):
    """message, with the fields that mail actions change."""

    id: str = ""
    parent_folder_id: str | None = None
    is_read: bool | None = None
    categories: list[str | None] | None = None
    flag: WireFlag | None = None


class WireDraft(Struct, gc=False, rename="camel"):
    """message, with the fields that tell whether it was sent, and to how many it goes.

    The first two must be there: a mail must not go out twice, nor never, for want of a field.
    """

    id: str
    is_draft: bool
    to: list[WireRecipient | None] | None = field(name="toRecipients", default=None)
    cc: list[WireRecipient | None] | None = field(name="ccRecipients", default=None)


class WireDrafts(Struct, gc=False):
    """A page of drafts."""

    value: list[WireDraft]
    next_link: str | None = field(name="@odata.nextLink", default=None)
