"""The yardstick: a bare aiohttp + msgspec loop over the same pages, decoded and dropped. Nothing is checked.

aiohttp and msgspec are as they come, unless ``isal`` is asked for: then gzip is unpacked by isal, as in the daemon.

Usage: bare.py BASE CA_FILE [isal]. Prints one line of JSON: messages, CPU seconds of the loop, peak resident memory.
"""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import sys
import time
from datetime import datetime

import aiohttp
import msgspec
from isal import isal_zlib


class Address(msgspec.Struct):
    """A name and an address."""

    name: str | None = None
    address: str | None = None


class Recipient(msgspec.Struct):
    """Graph's wrapper of an address."""

    emailAddress: Address  # noqa: N815 - the name on the wire


class Message(msgspec.Struct, rename="camel"):
    """The fields the daemon selects."""

    id: str
    received_date_time: datetime
    sent_date_time: datetime | None = None
    subject: str | None = None
    from_: Recipient | None = msgspec.field(default=None, name="from")
    sender: Recipient | None = None
    to_recipients: list[Recipient] = []
    cc_recipients: list[Recipient] = []
    reply_to: list[Recipient] = []
    internet_message_id: str | None = None
    conversation_id: str | None = None
    importance: str | None = None
    categories: list[str] = []
    is_read: bool = False
    has_attachments: bool = False
    body_preview: str | None = None
    parent_folder_id: str | None = None


class Page(msgspec.Struct):
    """A page of a round."""

    value: list[Message]
    next: str | None = msgspec.field(default=None, name="@odata.nextLink")
    delta: str | None = msgspec.field(default=None, name="@odata.deltaLink")


HEADERS = {
    "Authorization": "Bearer " + "x" * 1700,
    "Prefer": 'IdType="ImmutableId", odata.maxpagesize=50',
}


async def drain(base: str, ca_file: str) -> int:
    """Walk the round and return the number of messages."""
    context = ssl.create_default_context(cafile=ca_file)
    decode = msgspec.json.Decoder(Page).decode
    link: str | None = f"{base}/v1.0/users/bench@contoso.example/mailFolders/inbox/messages/delta"
    count = 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        while link is not None:
            async with session.get(link, headers=HEADERS) as response:
                page = decode(await response.read())
            count += len(page.value)
            link = page.next
    return count


def main() -> None:
    """Measure the loop alone: imports and start-up are not the daemon's business either."""
    if sys.argv[3:] == ["isal"]:
        aiohttp.set_zlib_backend(isal_zlib)
    before = time.process_time()
    count = asyncio.run(drain(sys.argv[1], sys.argv[2]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"messages": count, "cpu": time.process_time() - before, "peak_mib": peak}))


if __name__ == "__main__":
    main()
