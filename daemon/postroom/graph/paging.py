"""Short lists that come in pages: folders, attachments and mails of ours, gathered by their nextLinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from postroom.errors import Unavailable
from postroom.graph.call import Call
from postroom.graph.client import GraphClient
from postroom.graph.decode import decode
from postroom.graph.wire import WireAttachments, WireDrafts, WireFolders

_MOST_PAGES = 100


PageT = TypeVar("PageT", WireAttachments, WireDrafts, WireFolders)


async def pages(client: GraphClient, kind: type[PageT], call: Call, follow: Callable[[str], Call]) -> list[PageT]:
    """Fetch all pages; raises Unavailable when there is no end to them.

    Args:
        client: Where to fetch.
        kind: What a page is decoded to.
        call: Fetches the first page.
        follow: Makes the request for a nextLink.
    """
    found: list[PageT] = []
    while len(found) < _MOST_PAGES:
        page = decode(kind, await client.fetch(call), doing=call.doing, mailbox=call.mailbox)
        found.append(page)
        if page.next_link is None:
            return found
        call = follow(page.next_link)
    raise Unavailable(
        f"While {call.doing}, Graph sent more than {_MOST_PAGES} pages.",
        code="TooManyPages",
        remedy="Have fewer of them, or leave this one out.",
        mailbox=call.mailbox,
    )
