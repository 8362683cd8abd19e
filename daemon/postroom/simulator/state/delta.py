"""Delta rounds over one folder's messages: the page behind a link.

A link carries a cursor: the options of the chain and a place in the folder's change log. The first round walks the log
from its beginning and thus lists what is there; every later one goes on where the last ended. Nothing is copied when a
round begins: what changes while it runs comes at its end, or in the next.

Sources: message-delta.md and delta-query-messages.md; for the limits of `$top` and `$filter` microsoft-graph-docs#2232
and delta-query-messages.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from postroom.simulator.state.cursor import Cursor, advance, end_round
from postroom.simulator.state.folder import Folder
from postroom.simulator.state.message import StoredMessage
from postroom.simulator.state.nuisance import Nuisance

if TYPE_CHECKING:
    from postroom.simulator.state.changes import Change
    from postroom.simulator.state.mailbox import Mailbox

FILTERED_LIMIT = 5000
"""Messages a filtered first round returns at most; the cut is silent (delta-query-messages.md)."""
_CALM = Nuisance()
_CARRIED = 5


@dataclass(frozen=True, slots=True)
class Removed:
    """A message that left the folder, with what its ids are made of."""

    item: int
    entered: int


Entry = StoredMessage | Removed


@dataclass(frozen=True, slots=True)
class DeltaPage:
    """One page; `done` says that the cursor is that of a delta link, not of a next link.

    Attributes:
        updates: Items among the entries that the reader of the chain has been told of before.
    """

    entries: list[Entry]
    cursor: Cursor
    done: bool
    updates: set[int] = field(default_factory=set)


def next_page(
    mailbox: Mailbox, folder: Folder, cursor: Cursor, size: int, nuisance: Nuisance = _CALM, *, immutable: bool = False
) -> DeltaPage:
    """Return the page behind a cursor and the cursor behind the page. A quiet folder gives the same cursor back."""
    return _Walk(mailbox, folder, nuisance, immutable=immutable).page(cursor, size)


@dataclass(slots=True)
class _Walk:
    """One page in the making."""

    mailbox: Mailbox
    folder: Folder
    nuisance: Nuisance
    immutable: bool
    updates: set[int] = field(default_factory=set)

    def page(self, cursor: Cursor, size: int) -> DeltaPage:
        """Return the page behind a cursor, with today's nuisances."""
        if cursor.empties < self.nuisance.empty_in_a_row and self._strikes("empty_page"):
            return DeltaPage([], advance(self.folder, cursor, empties=cursor.empties + 1), done=False)
        repeated = [found for item in cursor.again if (found := self._still_here(item)) is not None][: size - 1]
        for _ in repeated:
            self.nuisance.record("duplicate", self.mailbox.address)
        page = self._told(self._replayed(cursor), size - len(repeated))
        again = self._spoil(page, cursor, size - len(repeated))
        steps = msgspec.structs.replace(page.cursor, again=again) if again else page.cursor
        return DeltaPage([*repeated, *page.entries], steps, page.done, self.updates)

    def _told(self, cursor: Cursor, size: int) -> DeltaPage:
        room = min(size, _limit(cursor) - cursor.listed)
        if room <= 0:
            return self._end(cursor, [], self.folder.log.last)
        if cursor.initial and cursor.query.newest_first:
            return self._newest_first(cursor, room)
        entries: list[Entry] = []
        at = cursor.at
        for change in self.folder.log.after(cursor.at):
            entry = self._entry(cursor, change)
            if entry is not None and len(entries) == room:
                return self._more(cursor, entries, room, at=at)
            if entry is not None:
                entries.append(entry)
            at = change.seq
        return self._end(cursor, entries, at)

    def _entry(self, cursor: Cursor, change: Change) -> Entry | None:
        """Return what a change means to the reader of this chain, if anything."""
        if change.left:
            unknown = cursor.initial and change.seq <= cursor.start
            return Removed(change.item, change.entered) if not unknown and self._wants(cursor, "deleted") else None
        message = self._still_here(change.item)
        if message is None or message.seq != change.seq:
            return None
        is_new = cursor.initial or message.entered > cursor.start
        if is_new and (not cursor.query.matches(message) or self._fell_into_the_hole(cursor, change)):
            return None
        if not is_new:
            self.updates.add(change.item)
        return message if cursor.initial or self._wants(cursor, "created" if is_new else "updated") else None

    def _wants(self, cursor: Cursor, kind: str) -> bool:
        """Tell whether the chain is about this kind of change, or is told of it all the same."""
        return cursor.query.change in ("", kind) or self._strikes("leak")

    def _fell_into_the_hole(self, cursor: Cursor, change: Change) -> bool:
        """Tell whether a message that left and came back stays untold (microsoft-graph-docs-contrib#72)."""
        if not (self.nuisance.move_hole and self.immutable and change.seq == change.entered):
            return False
        fell = any(one.item == change.item and one.left for one in self.folder.log.after(cursor.start))
        if fell:
            self.nuisance.record("move_hole", self.mailbox.address)
        return fell

    def _newest_first(self, cursor: Cursor, room: int) -> DeltaPage:
        """List a folder newest first; what changes meanwhile is left to the next round."""
        end = len(self.folder.messages)
        if cursor.before is not None:
            end = bisect_left(self.folder.messages, cursor.before, key=lambda message: message.order)
        entries: list[Entry] = []
        last: StoredMessage | None = None
        for message in self._matching(cursor, end):
            if last is not None and len(entries) == room:
                return self._more(cursor, entries, room, before=last.order)
            entries.append(message)
            last = message
        return self._end(cursor, entries, cursor.start)

    def _matching(self, cursor: Cursor, end: int) -> Iterator[StoredMessage]:
        messages = self.folder.messages
        return (messages[index] for index in range(end - 1, -1, -1) if cursor.query.matches(messages[index]))

    def _more(self, cursor: Cursor, entries: list[Entry], room: int, **changes: object) -> DeltaPage:
        steps = advance(self.folder, cursor, listed=cursor.listed + room, empties=0, again=(), **changes)
        return DeltaPage(entries, steps, done=False)

    def _end(self, cursor: Cursor, entries: list[Entry], at: int) -> DeltaPage:
        return DeltaPage(entries, end_round(self.folder, cursor, at), done=True)

    def _replayed(self, cursor: Cursor) -> Cursor:
        """Go back to what was told last, where that is to be told again."""
        if not cursor.begins or cursor.earlier >= cursor.start or not self.nuisance.draw("replay"):
            return cursor
        back = msgspec.structs.replace(cursor, start=cursor.earlier, at=cursor.earlier)
        told = (change for change in self.folder.log.after(back.at) if change.seq <= cursor.start)
        if not any(change.left or self._is_latest(change) for change in told):
            return cursor
        self.nuisance.record("replay", self.mailbox.address)
        return back

    def _spoil(self, page: DeltaPage, cursor: Cursor, room: int) -> tuple[int, ...]:
        """Add to a page what should not be there, as far as there is room; returns what the next page tells again."""
        entries = page.entries
        if cursor.begins and self.folder.messages and len(entries) < room and self._strikes("noise"):
            untouched = self.nuisance.chance.choice(self.folder.messages)
            self.updates.add(untouched.item)
            entries.append(untouched)
        twice = [one for one in entries if isinstance(one, StoredMessage) and self.nuisance.draw("duplicate")]
        free = room - len(entries)
        for one in twice[:free]:
            self.nuisance.record("duplicate", self.mailbox.address)
            entries.append(one)
        return () if page.done else tuple(one.item for one in twice[free:][:_CARRIED])

    def _is_latest(self, change: Change) -> bool:
        message = self._still_here(change.item)
        return message is not None and message.seq == change.seq

    def _still_here(self, item: int) -> StoredMessage | None:
        message = self.mailbox.find(item)
        return message if message is not None and message.folder is self.folder else None

    def _strikes(self, kind: str) -> bool:
        return self.nuisance.strike(kind, self.mailbox.address)


def _limit(cursor: Cursor) -> int:
    """Return how many entries a round tells at most."""
    query = cursor.query
    capped = query.since is not None and cursor.initial
    return min(query.top or FILTERED_LIMIT, FILTERED_LIMIT) if capped else query.top or 1 << 62
