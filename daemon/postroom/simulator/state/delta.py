"""Delta rounds over one folder: what a link stands for, and the next page behind it.

A link carries a cursor: the options of the chain and a place in the folder's change log. The first round walks the log
from its beginning and thus lists what is there; every later one goes on where the last ended. Nothing is copied when a
round begins: what changes while it runs comes at its end, or in the next.

Sources: message-delta.md and delta-query-messages.md; for generations microsoft-graph-docs#2162 and #2350; for the
limits of `$top` and `$filter` microsoft-graph-docs#2232 and delta-query-messages.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

import msgspec

from postroom.simulator.state.errors import MalformedId, SyncReset, SyncStateInvalid, SyncStateNotFound
from postroom.simulator.state.folder import Folder
from postroom.simulator.state.ids import decode, encode
from postroom.simulator.state.message import StoredMessage

if TYPE_CHECKING:
    from postroom.simulator.state.changes import Change
    from postroom.simulator.state.mailbox import Mailbox

RESUMABLE_GENERATIONS = 3
CHAINS_KEPT = 64
"""Chains a folder remembers; beginning another forgets the one idle longest (LEARN delta-query-overview)."""
FILTERED_LIMIT = 5000
"""Messages a filtered first round returns at most; the cut is silent (delta-query-messages.md)."""
_SIGNATURE = 8


class DeltaQuery(msgspec.Struct, frozen=True, array_like=True):
    """The options of a chain; fixed by its first request.

    Attributes:
        select: Properties asked for; of no meaning here.
        since: Least time received in seconds, from ``$filter``; `after` when that very second is excluded.
        change: The one kind of change wanted, or empty for all.
        top: Limit of a whole round.
    """

    select: tuple[str, ...] = ()
    since: int | None = None
    after: bool = False
    change: Literal["", "created", "updated", "deleted"] = ""
    newest_first: bool = False
    top: int | None = None

    def matches(self, message: StoredMessage) -> bool:
        """Tell whether a message passes the filter."""
        if self.since is None:
            return True
        return message.received > self.since if self.after else message.received >= self.since


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A place in a chain.

    Attributes:
        start: Sequence number at which the round began; 0 in the very first round.
        at: Sequence number up to which changes have been told.
        initial: The round lists the folder.
        listed: Entries told in this round.
        before: In a newest-first listing, the order of the message told last.
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


@dataclass(frozen=True, slots=True)
class Removed:
    """A message that left the folder, with what its ids are made of."""

    item: int
    entered: int


Entry = StoredMessage | Removed


@dataclass(frozen=True, slots=True)
class DeltaPage:
    """One page; `done` says that the cursor is that of a delta link, not of a next link."""

    entries: list[Entry]
    cursor: Cursor
    done: bool


def begin(mailbox: Mailbox, folder: Folder, query: DeltaQuery) -> Cursor:
    """Open a chain."""
    chain = mailbox.next_chain()
    folder.chains[chain] = 0
    if len(folder.chains) > CHAINS_KEPT:
        del folder.chains[next(iter(folder.chains))]
    return Cursor(query, folder.number, folder.epoch, chain, start=mailbox.seq)


def write_token(mailbox: Mailbox, cursor: Cursor) -> str:
    """Write a cursor as opaque text."""
    data = msgspec.msgpack.encode(cursor)
    return encode(_sign(mailbox, data) + data).rstrip("=")


def read_token(mailbox: Mailbox, folder: Folder, token: str) -> Cursor:
    """Read a cursor back; raises SyncStateInvalid, SyncStateNotFound or SyncReset."""
    try:
        raw = decode(token + "=" * (-len(token) % 4))
        cursor = msgspec.msgpack.decode(raw[_SIGNATURE:], type=Cursor)
    except (MalformedId, msgspec.DecodeError):
        raise SyncStateInvalid("The sync state token is invalid.") from None
    if raw[:_SIGNATURE] != _sign(mailbox, raw[_SIGNATURE:]) or cursor.folder != folder.number:
        raise SyncStateInvalid("The sync state token is invalid.")
    _check_alive(folder, cursor)
    return cursor


def _check_alive(folder: Folder, cursor: Cursor) -> None:
    """Refuse a cursor of before a reset, of a forgotten chain, or left behind by its own chain."""
    if cursor.epoch != folder.epoch:
        raise SyncReset("Resync required: the sync state was reset.", cursor.query)
    highest = folder.chains.get(cursor.chain, -1)
    if cursor.generation > highest - RESUMABLE_GENERATIONS and highest >= 0:
        return
    kept = [highest, *range(max(highest - RESUMABLE_GENERATIONS + 1, 0), highest)] if highest >= 0 else []
    listed = "".join(f"[{generation}]" for generation in kept)
    raise SyncStateNotFound(
        f"The sync state generation is not found; generation={cursor.generation};[highest={max(highest, 0)}]{listed}."
    )


def next_page(mailbox: Mailbox, folder: Folder, cursor: Cursor, size: int) -> DeltaPage:
    """Return the page behind a cursor and the cursor behind the page. A quiet folder gives the same cursor back."""
    room = min(size, _limit(cursor) - cursor.listed)
    if room <= 0:
        return _finish(folder, cursor, [], folder.log.last)
    if cursor.initial and cursor.query.newest_first:
        return _newest_first(folder, cursor, room)
    entries: list[Entry] = []
    at = cursor.at
    for change in folder.log.after(cursor.at):
        entry = _entry(mailbox, folder, cursor, change)
        if entry is not None and len(entries) == room:
            return DeltaPage(entries, _advance(folder, cursor, at=at, listed=cursor.listed + room), done=False)
        if entry is not None:
            entries.append(entry)
        at = change.seq
    return _finish(folder, cursor, entries, at)


def _limit(cursor: Cursor) -> int:
    """Return how many entries a round tells at most."""
    query = cursor.query
    capped = query.since is not None and cursor.initial
    return min(query.top or FILTERED_LIMIT, FILTERED_LIMIT) if capped else query.top or 1 << 62


def _entry(mailbox: Mailbox, folder: Folder, cursor: Cursor, change: Change) -> Entry | None:
    """Return what a change means to the reader of this chain, if anything."""
    message = mailbox.find(change.item)
    wanted = cursor.query.change
    if change.left:
        unknown = cursor.initial and change.seq <= cursor.start
        unwanted = wanted not in ("", "deleted")
        return None if unknown or unwanted else Removed(change.item, change.entered)
    if message is None or message.folder is not folder or message.seq != change.seq:
        return None
    is_new = cursor.initial or message.entered > cursor.start
    if is_new and not cursor.query.matches(message):
        return None
    kind = "created" if is_new else "updated"
    return message if cursor.initial or wanted in ("", kind) else None


def _newest_first(folder: Folder, cursor: Cursor, room: int) -> DeltaPage:
    """List a folder newest first; what changes meanwhile is left to the next round."""
    end = len(folder.messages)
    if cursor.before is not None:
        end = bisect_left(folder.messages, cursor.before, key=lambda message: message.order)
    found = _matching(folder, cursor, end)
    entries: list[Entry] = []
    for message in found:
        if len(entries) == room:
            last = entries[-1]
            assert isinstance(last, StoredMessage)
            return DeltaPage(
                entries, _advance(folder, cursor, before=last.order, listed=cursor.listed + room), done=False
            )
        entries.append(message)
    return _finish(folder, cursor, entries, cursor.start)


def _matching(folder: Folder, cursor: Cursor, end: int) -> Iterator[StoredMessage]:
    return (folder.messages[index] for index in range(end - 1, -1, -1) if cursor.query.matches(folder.messages[index]))


def _finish(folder: Folder, cursor: Cursor, entries: list[Entry], at: int) -> DeltaPage:
    """End a round. When nothing at all happened the link stays what it was, as Graph's own examples show."""
    if not cursor.initial and cursor.at == at == cursor.start and not cursor.listed:
        return DeltaPage(entries, cursor, done=True)
    ended = _advance(folder, cursor, at=at, start=at, initial=False, listed=0, before=None)
    return DeltaPage(entries, ended, done=True)


def _advance(folder: Folder, cursor: Cursor, **changes: object) -> Cursor:
    """Step to the next generation, which lets the oldest one die."""
    generation = cursor.generation + 1
    newest = max(folder.chains.pop(cursor.chain, 0), generation)
    folder.chains[cursor.chain] = newest
    return msgspec.structs.replace(cursor, generation=generation, **changes)


def _sign(mailbox: Mailbox, data: bytes) -> bytes:
    return blake2b(data, digest_size=_SIGNATURE, key=mailbox.id.encode("ascii")).digest()
