"""The folders of one mailbox, by name, id and number, and what happened to them."""

from __future__ import annotations

from collections.abc import Iterator

from postroom.simulator.state.changes import Change
from postroom.simulator.state.errors import FixedFolder, FolderExists, UnknownFolder, WrongPlace
from postroom.simulator.state.folder import ROOT, WELL_KNOWN, Folder
from postroom.simulator.state.ids import Ids
from postroom.simulator.state.names import folder_names
from postroom.simulator.state.tracked import Tracked

DEEPEST = 300
"""Folders inside each other; Exchange has a limit of the kind, and walking them has one here."""


class FolderTree:
    """A folder tree; it begins with the well-known folders.

    Attributes:
        well_known: By well-known name.
        provisioned: False for a mailbox that nobody has opened yet: only well-known names are found
            (domainaware/parsedmarc usage.md).
        tracked: Changes of the folders themselves; the item of a change is a folder's number.
    """

    __slots__ = ("_by_number", "_ids", "_made", "_seq", "provisioned", "tracked", "well_known")

    def __init__(self, ids: Ids, language: str = "en") -> None:
        self._ids = ids
        self._by_number: dict[int, Folder] = {}
        self._made = self._seq = 0
        self.provisioned = True
        self.tracked = Tracked(0)
        self.well_known: dict[str, Folder] = {}
        names = folder_names(language)
        for name, (title, parent, hidden) in WELL_KNOWN.items():
            self.well_known[name] = self._make(names.get(name, title), self.well_known.get(parent), hidden=hidden)

    def __iter__(self) -> Iterator[Folder]:
        return iter(self._by_number.values())

    @property
    def seq(self) -> int:
        """Number of the last change of any folder."""
        return self._seq

    def numbered(self, number: int) -> Folder | None:
        """Return the folder with this number."""
        return self._by_number.get(number)

    def find(self, name_or_id: str) -> Folder:
        """Find a folder by well-known name or id; raises UnknownFolder, MalformedId or ForeignId."""
        known = self.well_known.get(name_or_id.lower())
        if known is not None:
            return known
        self.check_provisioned()
        found = self._by_number.get(self._ids.read_folder(name_or_id))
        if found is None:
            raise UnknownFolder("The specified folder could not be found in the store.")
        return found

    def check_provisioned(self) -> None:
        """Refuse to look into a mailbox that has no folders yet; raises UnknownFolder."""
        if not self.provisioned:
            raise UnknownFolder("The specified object was not found in the store., Default folder Root not found.")

    def create(self, display_name: str, parent: Folder | None, *, hidden: bool) -> Folder:
        """Create a folder, under the root where no parent is named; raises FolderExists or WrongPlace."""
        parent = parent or self.well_known[ROOT]
        self._check_place(parent, display_name)
        return self._make(display_name, parent, hidden=hidden)

    def rename(self, folder: Folder, display_name: str) -> None:
        """Give a folder another name; raises FolderExists or FixedFolder."""
        self.check_free(folder)
        if folder.parent is not None and folder.display_name != display_name:
            self._check_place(folder.parent, display_name, but=folder)
        folder.display_name = display_name
        self._record(folder)

    def move(self, folder: Folder, parent: Folder, *, any_name: bool = False) -> None:
        """Put a folder under another, with another name where its own is taken and `any_name` is set.

        Raises FolderExists, FixedFolder or WrongPlace.
        """
        self.check_free(folder)
        if folder in parent.lies_in():
            raise WrongPlace("A folder cannot be moved into itself or into a folder below it.")
        if any_name:
            folder.display_name = self.free_name(parent, folder.display_name)
        self._check_place(parent, folder.display_name, but=folder)
        self._take_out(folder)
        folder.parent = parent
        parent.children.append(folder)
        self._record(folder)

    def remove(self, folder: Folder) -> None:
        """Take an empty folder away for good; raises FixedFolder."""
        self.check_free(folder)
        self._take_out(folder)
        del self._by_number[folder.number]
        self._compact()

    def speak(self, language: str) -> None:
        """Name the well-known folders in another language; raises ValueError for one that is not known."""
        names = folder_names(language)
        for name, folder in self.well_known.items():
            folder.display_name = names.get(name, WELL_KNOWN[name].display_name)
            self._record(folder)

    def is_fixed(self, folder: Folder) -> bool:
        """Tell whether every mailbox has this folder."""
        return folder.number <= len(WELL_KNOWN)

    @staticmethod
    def free_name(parent: Folder, name: str) -> str:
        """Return a name that no folder there has, counted up as Exchange does."""
        taken = {child.display_name.casefold() for child in parent.children}
        count, free = 0, name
        while free.casefold() in taken:
            count += 1
            free = f"{name}{count}"
        return free

    def check_free(self, folder: Folder) -> None:
        """Refuse to touch what every mailbox has; raises FixedFolder."""
        if self.is_fixed(folder):
            raise FixedFolder("Distinguished folders cannot be deleted, moved or renamed.")

    def _make(self, display_name: str, parent: Folder | None, *, hidden: bool) -> Folder:
        self._made += 1
        folder = Folder(self._made, self._ids.folder(self._made), display_name, parent, hidden=hidden)
        self._by_number[folder.number] = folder
        folder.entered = self._seq + 1
        self._record(folder)
        return folder

    def _take_out(self, folder: Folder) -> None:
        assert folder.parent is not None
        folder.parent.children.remove(folder)
        self._seq += 1
        self.tracked.log.append(Change(self._seq, folder.number, folder.entered, left=True))

    def _record(self, folder: Folder) -> None:
        self._seq += 1
        folder.seq = self._seq
        self.tracked.log.append(Change(self._seq, folder.number, folder.entered, left=False))
        self._compact()

    def _compact(self) -> None:
        self.tracked.log.compact(lambda change: change.left or self._is_current(change))

    def _is_current(self, change: Change) -> bool:
        folder = self._by_number.get(change.item)
        return folder is not None and folder.seq == change.seq

    def _check_place(self, parent: Folder, display_name: str, but: Folder | None = None) -> None:
        if parent.search is not None or len(parent.lies_in()) >= DEEPEST:
            raise WrongPlace("No folder can be put there.")
        taken = (child.display_name.casefold() for child in parent.children if child is not but)
        if display_name.casefold() in taken:
            raise FolderExists("A folder with the specified name already exists.")
