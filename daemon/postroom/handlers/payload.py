"""What a webhook tells of a mail, as JSON values."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from contextlib import aclosing
from itertools import accumulate
from typing import Any, Literal

from postroom.plugin import Address, Attachment, Context, Message

LONGEST_HEADERS = 200_000
"""Characters of all internet headers together: a stranger decides how many there are."""

Part = Literal["body", "headers", "attachments"]


def metadata(message: Message, context: Context) -> dict[str, Any]:
    """Return what is known without asking further; nothing of the text, and the same for every attempt."""
    return {
        "id": message.id,
        "mailbox": message.mailbox,
        "folder": message.folder,
        "rule": context.rule,
        "handler": context.handler,
        "idempotency_key": context.idempotency_key,
        "internet_message_id": message.internet_message_id,
        "conversation_id": message.conversation_id,
        "received_at": message.received_at.isoformat(),
        "sent_at": message.sent_at.isoformat() if message.sent_at else None,
        "subject": message.subject,
        "from": _address(message.sender),
        "sender": _address(message.sent_from),
        "to": _addresses(message.to),
        "cc": _addresses(message.cc),
        "reply_to": _addresses(message.reply_to),
        "importance": message.importance,
        "categories": list(message.categories),
        "is_read": message.is_read,
        "has_attachments": message.has_attachments,
        "size": message.size,
    }


async def parts(context: Context, wanted: Collection[Part], max_body: int, max_attachments: int) -> dict[str, Any]:
    """Fetch the parts that are `wanted`.

    Of the text `max_body` characters are kept; ``truncated`` says whether that is all. The contents of attachments may
    make `max_attachments` bytes together; what does not fit is listed with ``content`` null.
    """
    found: dict[str, Any] = {}
    if "body" in wanted:
        body = await context.body("text")
        cut = body.content[:max_body]
        found["body"] = {"kind": body.kind, "content": cut, "truncated": len(cut) < len(body.content)}
    if "headers" in wanted:
        found["headers"] = _headers(await context.headers())
    if "attachments" in wanted:
        found["attachments"] = await _attachments(context, max_attachments)
    return found


def _headers(headers: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Keep headers, in their order, up to `LONGEST_HEADERS`."""
    lengths = accumulate(len(name) + len(value) for name, value in headers)
    return [list(header) for header, length in zip(headers, lengths, strict=True) if length <= LONGEST_HEADERS]


async def _attachments(context: Context, room: int) -> list[dict[str, Any]]:
    listed = []
    async for file in context.attachments():
        content = await _content(file, room)
        room -= len(content) if content is not None else 0
        listed.append(
            {
                "name": file.name,
                "content_type": file.content_type,
                "size": file.size,
                "kind": file.kind,
                "content": None if content is None else base64.b64encode(content).decode(),
            }
        )
    return listed


async def _content(file: Attachment, room: int) -> bytes | None:
    """Read the content; None as soon as it is known not to fit, whatever size was stated."""
    if file.size > room:
        return None
    content = bytearray()
    async with aclosing(file.stream()) as pieces:
        async for piece in pieces:
            content += piece
            if len(content) > room:
                return None
    return bytes(content)


def _address(address: Address) -> dict[str, str]:
    return {"name": address.name, "address": address.address}


def _addresses(addresses: Sequence[Address]) -> list[dict[str, str]]:
    return [_address(address) for address in addresses]
