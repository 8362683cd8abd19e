"""Creating drafts, from JSON or from MIME."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import web

from postroom.simulator.graph.attachment_input import read_enclosures
from postroom.simulator.graph.call import WRITE, Call, Operation, Operations
from postroom.simulator.graph.message_input import check_names, decode_mime, draft_parts
from postroom.simulator.graph.message_json import View
from postroom.simulator.graph.message_names import check_size, read_body
from postroom.simulator.graph.messages import written
from postroom.simulator.graph.updates import check_own, plain_changes
from postroom.simulator.state import Address, Draft, Envelope, Folder, Mailbox, StoredMessage, parse, write
from postroom.simulator.state.sender import in_name_of

_MESSAGE_FLAGS = "Integer 0xe07"
_UNSENT, _READ = 0x8, 0x1


class Prepared(NamedTuple):
    """A message about to come into being: its MIME, what `parse` reads in it, and attributes to set."""

    raw: bytes
    envelope: Envelope
    changes: Mapping[str, Any]


async def _create(call: Call) -> web.StreamResponse:
    """Create a draft in Drafts or in the folder addressed."""
    mailbox = call.mailbox()
    folder = call.folder(mailbox) or mailbox.folder("drafts")
    new = await read_mime(call, mailbox) if call.is_mime else prepared(mailbox, await read_body(call))
    return written(View(call, mailbox, admit(mailbox, folder, new)), status=201)


async def read_mime(call: Call, mailbox: Mailbox) -> Prepared:
    """Read MIME given in base64; it goes in the mailbox's name whatever its From says (reported of Graph)."""
    await check_size(call)
    raw = in_name_of(decode_mime(await call.request.read()), own_address(mailbox))
    return Prepared(raw, parse(raw), {})


def prepared(mailbox: Mailbox, body: Mapping[str, Any]) -> Prepared:
    """Write the JSON of a message as MIME, in the mailbox's name; raises GraphFault."""
    check_names(body)
    parts = draft_parts(body)
    for name in ("sent_from", "sender"):
        check_own(mailbox, parts.setdefault(name, own_address(mailbox)))
    parts.setdefault("message_id", new_message_id(mailbox))
    content = write(Draft(sent=mailbox.now(), enclosures=read_enclosures(body), **parts))
    return Prepared(content.raw, content.envelope, new_changes(body))


def new_changes(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the JSON of a new message says beyond its MIME.

    Message flags without the one that says unsent make it a received mail, as importers of old mail do.
    """
    changes = plain_changes(body)
    flags = changes.get("extended", {}).get(_MESSAGE_FLAGS, "")
    if isinstance(flags, str) and re.fullmatch(r"[0-9]{1,9}", flags) and not int(flags) & _UNSENT:
        changes |= {"is_draft": False, "is_read": bool(int(flags) & _READ)}
    return changes


def admit(mailbox: Mailbox, folder: Folder, new: Prepared) -> StoredMessage:
    """Put a new message into a folder, as a draft unless it says otherwise."""
    message = mailbox.add(new.raw, folder, is_read=True, is_draft=True, envelope=new.envelope)
    if new.changes:
        mailbox.update(message, **new.changes)
    return message


def own_address(mailbox: Mailbox) -> Address:
    """Return whose mailbox it is."""
    return Address(mailbox.display_name, mailbox.address)


def new_message_id(mailbox: Mailbox) -> str:
    """Return a fresh Internet message id."""
    return f"<{uuid.uuid4().hex}@{mailbox.address.partition('@')[2] or 'localhost'}>"


OPERATIONS: Operations = {
    ("POST", f"{parent}messages"): Operation(_create, WRITE) for parent in ("users/*/", "users/*/mailfolders/*/")
}
