"""Where a delta chain is: what a link stands for, and how it steps on.

Sources: message-delta.md and delta-query-messages.md; for generations microsoft-graph-docs#2162 and #2350.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from postroom.simulator.state.mailbox import Mailbox
    from postroom.simulator.state.message import StoredMessage
    from postroom.simulator.state.tracked import Tracked

RESUMABLE_GENERATIONS = 3
CHAINS_KEPT = 64
"""Chains a folder remembers; beginning another forgets the one idle longest (LEARN delta-query-overview)."""


class DeltaQuery(msgspec.Struct, frozen=True, array_like=True):
    """The options of a chain; fixed by its first request.

    Attributes:
        select: Properties asked for; of no meaning here.
        since: Least time received in seconds, from ``$filter``; `after` when that very second is excluded.
        change: The one kind of change wanted, or empty for all.
        top: Limit of a whole round.
        expand: What is to be expanded; of no meaning here.
        under: Number of the folder whose children are tracked; 0 for all folders, and for messages.
    """

    select: tuple[str, ...] = ()
    since: int | None = None
    after: bool = False
    change: Literal["", "created", "updated", "deleted"] = ""
    newest_first: bool = False
    top: int | None = None
    expand: str = ""
    under: int = 0

    def matches(self, message: StoredMessage) -> bool:
        """Tell whether a message passes the filter."""
        if self.since is None:
            return True
        return message.received > self.since if self.after else message.received >= self.since


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A place in a chain.

    Attributes:
        start: Sequence number at which the round began; in the very first, that at which the chain began.
        at: Sequence number up to which changes have been told.
        initial: The round lists the folder.
        listed: Entries told in this round.
        before: In a newest-first listing, the order of the message told last.
        earlier: Where a replay of what was told last begins.
        empties: Empty pages in a row before this one.
        again: Items that the next page tells once more.
    """

    query: DeltaQuery
    folder: int
    epoch: int
    chain: int
    generation: int = 0
    start: int = 0
    at: int = 0
    initial: bool = True
    listed: int = 0
    before: tuple[int, int] | None = None
    earlier: int = 0
    empties: int = 0
    again: tuple[int, ...] = ()

    @property
    def begins(self) -> bool:
        """Whether nothing of the round has been told."""
        return not self.initial and self.at == self.start and not self.listed


def begin(mailbox: Mailbox, tracked: Tracked, query: DeltaQuery) -> Cursor:
    """Open a chain over a folder's messages, or over the tree of folders."""
    chain = mailbox.next_chain()
    tracked.chains[chain] = 0
    if len(tracked.chains) > CHAINS_KEPT:
        del tracked.chains[next(iter(tracked.chains))]
    start = mailbox.seq if tracked.number else mailbox.folders.seq
    return Cursor(query, tracked.number, tracked.epoch, chain, start=start)


def advance(tracked: Tracked, cursor: Cursor, **changes: Any) -> Cursor:
    """Step to the next generation, which lets the oldest one die."""
    generation = cursor.generation + 1
    newest = max(tracked.chains.pop(cursor.chain, 0), generation)
    tracked.chains[cursor.chain] = newest
    return msgspec.structs.replace(cursor, generation=generation, **changes)


def end_round(tracked: Tracked, cursor: Cursor, at: int) -> Cursor:
    """Return the cursor of a delta link. When nothing happened the link stays what it was, as in Graph's examples."""
    if cursor.begins and cursor.at == at:
        return msgspec.structs.replace(cursor, empties=0) if cursor.empties else cursor
    earlier = max(at - RESUMABLE_GENERATIONS, 0) if cursor.initial else cursor.start
    fresh = {"initial": False, "listed": 0, "before": None, "empties": 0, "again": ()}
    return advance(tracked, cursor, at=at, start=at, earlier=earlier, **fresh)
