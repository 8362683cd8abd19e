"""Writes to one message exclude each other: of two that overlap, the second is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from postroom.simulator.graph.call import Call
from postroom.simulator.graph.faults import GraphFault
from postroom.simulator.graph.message_json import View
from postroom.simulator.state import Mailbox, StoredMessage


@asynccontextmanager
async def writing(call: Call, mailbox: Mailbox) -> AsyncIterator[StoredMessage]:
    """Hold the message addressed while it is written to, until the store has had its time.

    Raises GraphFault 409 when another write holds it (recorded fixtures of 2026), 412 when If-Match names an earlier
    state of it.
    """
    message = call.message(mailbox)
    if message.item in mailbox.writing:
        raise _conflict(409, "Another operation on the item is under way; this one changed nothing.")
    mailbox.writing.add(message.item)
    try:
        check_unchanged(View(call, mailbox, message))
        yield message
        await asyncio.sleep(mailbox.write_time)
    finally:
        mailbox.writing.discard(message.item)


def check_unchanged(view: View) -> None:
    """Refuse a write whose If-Match names an earlier state of the message."""
    expected = view.call.request.headers.get("If-Match", "*")
    if expected not in ("*", f'W/"{view.change_key}"', f'"{view.change_key}"'):
        raise _conflict(412, "The change key passed in the request does not match the current change key for the item.")


def _conflict(status: int, why: str) -> GraphFault:
    return GraphFault(
        status, "ErrorIrresolvableConflict", f"The send or update operation could not be performed. {why}"
    )
