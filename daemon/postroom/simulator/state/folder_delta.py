"""Delta rounds over the folders of a mailbox, or over the children of one folder (mailfolder-delta.md).

The rounds are those of messages, over the tree's own change log. That the whole tree comes flat is what clients assume;
no source read says so. Counts of messages are no change of a folder (microsoft-graph-docs#6576).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from postroom.simulator.state.changes import Change
from postroom.simulator.state.cursor import Cursor, advance, end_round
from postroom.simulator.state.folder import Folder

if TYPE_CHECKING:
    from postroom.simulator.state.tree import FolderTree


@dataclass(frozen=True, slots=True)
class RemovedFolder:
    """A folder that is gone, by its number."""

    number: int


@dataclass(frozen=True, slots=True)
class FolderPage:
    """One page; `done` says that the cursor is that of a delta link, not of a next link."""

    entries: list[Folder | RemovedFolder]
    cursor: Cursor
    done: bool


def next_folder_page(tree: FolderTree, cursor: Cursor, size: int) -> FolderPage:
    """Return the page behind a cursor and the cursor behind the page."""
    entries: list[Folder | RemovedFolder] = []
    at = cursor.at
    for change in tree.tracked.log.after(cursor.at):
        entry = _entry(tree, cursor, change)
        if entry is not None and len(entries) == size:
            return FolderPage(entries, advance(tree.tracked, cursor, at=at, listed=cursor.listed + size), done=False)
        if entry is not None:
            entries.append(entry)
        at = change.seq
    return FolderPage(entries, end_round(tree.tracked, cursor, at), done=True)


def _entry(tree: FolderTree, cursor: Cursor, change: Change) -> Folder | RemovedFolder | None:
    """Return what a change means to the reader of this chain; what is hidden stays out, and so do the roots."""
    folder = tree.numbered(change.item)
    under = tree.numbered(cursor.query.under)
    inside = folder is not None and (under is None or folder.parent is under)
    if change.left:
        unknown = cursor.initial and change.seq <= cursor.start
        return None if unknown or inside else RemovedFolder(change.item)
    if folder is None or folder.seq != change.seq or folder.hidden or folder.parent is None:
        return None
    return folder if inside else None
