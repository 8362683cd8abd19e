"""What is in a folder at Graph, by id and time of receipt alone: what reconcile and audit hold the journal against."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime

from postroom.errors import Unavailable
from postroom.pipeline import listing
from postroom.pipeline.limits import within
from postroom.ports import Clock, Mail

PAGE_SIZE = 999
"""Messages in one page; larger ones were not seen to be given (a backup product's setting for plain listings)."""

PAGE_LIMIT = 300.0
"""Seconds for one page, the wait for the mailbox's budget included."""

MOST_PAGES = 20_000
"""Pages after which a survey is given up: Graph's links lead nowhere."""

Placed = tuple[str, datetime]
"""Graph's id of a message, and when it was received."""


async def survey(
    mail: Mail, folder: str, since: datetime | None, *, clock: Clock, page_size: int = PAGE_SIZE
) -> AsyncGenerator[list[Placed]]:
    """Yield page by page what the folder holds of `since` or later; a message may come twice.

    Raises:
        GraphError: A page cannot be read.
        AuthError: The app is not signed in.
    """
    folder_id, now = await mail.folder_id(folder), clock.now()
    at: listing.Position | None = listing.Position(since)
    for _ in range(MOST_PAGES):
        assert at is not None, "the loop ends with the last page"
        async with within(PAGE_LIMIT, f"to survey {folder} of {mail.address}", mail.address):
            page = await mail.survey_page(folder, folder_id, at.link, page_size, at.since)
        # Graph is asked in whole seconds.
        yield [each for each in page.entries if since is None or each[1] >= since]
        newest = max((received for _, received in page.entries), default=None)
        at = listing.further(at, None if newest is None else min(newest, now), page.next_link)
        if at is None:
            return
    raise Unavailable(
        f"The survey of {folder} of {mail.address} has no end.",
        remedy="It is tried again later; audit a shorter period.",
        mailbox=mail.address,
    )
