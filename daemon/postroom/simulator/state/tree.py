"""The folders of one mailbox, by name, id and number."""

from __future__ import annotations

from collections.abc import Iterator

from postroom.simulator.state.errors import FolderExists, UnknownFolder
from postroom.simulator.state.folder import ROOT, WELL_KNOWN, Folder
from postroom.simulator.state.ids import Ids


class FolderTree:
    """A folder tree; it begins with the well-known folders.

    Attributes:
        well_known: By well-known name.
    """

    __slots__ = ("_by_number", "_ids", "well_known")

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._by_number: dict[int, Folder] = {}
        self.well_known: dict[str, Folder] = {}
        for name, (title, parent, hidden) in WELL_KNOWN.items():
            self.well_known[name] = self._make(title, self.well_known.get(parent), hidden=hidden)

    def __iter__(self) -> Iterator[Folder]:
        return iter(self._by_number.values())

    def find(self, name_or_id: str) -> Folder:
        """Find a folder by well-known name or id; raises UnknownFolder, MalformedId or ForeignId."""
        known = self.well_known.get(name_or_id.lower())
        found = known or self._by_number.get(self._ids.read_folder(name_or_id))
        if found is None:
            raise UnknownFolder("The specified folder could not be found in the store.")
        return found

    def create(self, display_name: str, parent: Folder | None, *, hidden: bool) -> Folder:
        """Create a folder, under the root where no parent is named; raises FolderExists."""
        parent = parent or self.well_known[ROOT]
        if any(child.display_name.casefold() == display_name.casefold() for child in parent.children):
            raise FolderExists("A folder with the specified name already exists.")
        return self._make(display_name, parent, hidden=hidden)

    def _make(self, display_name: str, parent: Folder | None, *, hidden: bool) -> Folder:
        number = len(self._by_number) + 1
        folder = Folder(number, self._ids.folder(number), display_name, parent, hidden=hidden)
        self._by_number[number] = folder
        return folder
