"""The rules of mails that a round could not read: evaluated by attempts of their own, so that no folder stands still.

A handler like any other, but for its name, which no configuration can give: its deliveries are retried, are held in an
outage, end as dead letters and are retried by an operator. What it makes of a mail is deliveries.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from postroom.errors import NotFound
from postroom.model import BreakerPolicy, Done, Message, Outcome, Reject, Retry, RetryPolicy
from postroom.pipeline.context import AttemptContext
from postroom.pipeline.desk import OpenHandler
from postroom.pipeline.poll import FolderPoller
from postroom.pipeline.reading import LOOK_LIMIT
from postroom.plugin import Context, Handler, Options
from postroom.ports import ROUTING, UNDATED, Journal, NewMessage

AT_ONCE = 4
"""Mails that are read together."""

POLICY = RetryPolicy(attempts=8, first=30.0, longest=3600.0)
"""An hour in all: a passing trouble of one mail, or of one way to read mail, shall make no dead letter."""


def routing(pollers: Iterable[FolderPoller], journal: Journal) -> OpenHandler:
    """Return the handler that evaluates rules, for mail of these folders."""
    handler = Routing(pollers, journal)
    return OpenHandler(ROUTING, handler, POLICY, LOOK_LIMIT, AT_ONCE, BreakerPolicy())


class Routing(Handler[Options]):
    """Read a mail, and give it to the handlers that its rules name."""

    def __init__(self, pollers: Iterable[FolderPoller], journal: Journal) -> None:
        super().__init__(Options())
        self._journal = journal
        self._pollers = {(each.folder.mailbox, each.folder.name): each for each in pollers}

    async def handle(self, message: Message, context: Context) -> Outcome:
        """Store the mail once more with what its rules say; raises GraphError when it cannot be read now."""
        attempt = cast("AttemptContext", context)
        poller = self._pollers.get((message.mailbox, message.folder)) or await self._renamed(message, attempt)
        if poller is None:
            return Retry(f"{message.folder} of {message.mailbox} is not watched any more")
        with attempt.asking():
            new = await poller.read(message.id, in_full=attempt.rule == UNDATED.name)
        if new is None:
            raise NotFound(f"The message is in no folder of {message.mailbox} any more.", mailbox=message.mailbox)
        if new.failure:
            return Reject(new.failure)
        if not new.dispatch:
            await poller.route_again(NewMessage(new.message))
            return Done("it is from before `start`")
        await poller.route_again(new)
        return Done(", ".join(rule.name for rule in new.rules) or "no rule matched")

    async def _renamed(self, message: Message, attempt: AttemptContext) -> FolderPoller | None:
        """Return who walks the folder of a mail that was set aside under a name which the folder has no more."""
        here = {each.folder.key: each for each in self._pollers.values() if each.folder.mailbox == message.mailbox}
        key = await self._journal.folder_of(attempt.message_id) if here else None
        return None if key is None else here.get(key)
