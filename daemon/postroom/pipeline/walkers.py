"""Which name walks which of Graph's folders: two names may mean one, and its changes may be asked for only once."""

from __future__ import annotations

from postroom.errors import PostroomError
from postroom.ports import WatchedFolder


class Walkers:
    """The folders of one mailbox that are watched, by Graph's ids.

    Attributes:
        keys: The journal's ids of them.
    """

    def __init__(self) -> None:
        self.keys: set[int] = set()
        self._names: dict[str, str] = {}

    def enter(self, folder: WatchedFolder) -> None:
        """Note a folder that is watched: it has what its link is of, unless one before it does."""
        self.keys.add(folder.key)
        if folder.graph_id is not None:
            self._names.setdefault(folder.graph_id, folder.name)

    def claim(self, folder: WatchedFolder, graph_id: str) -> None:
        """Have `folder` walk this folder of Graph's, and no other; raises PostroomError when another name walks it."""
        walker = self._names.get(graph_id)
        if walker == folder.name:
            return
        self._names = {each: name for each, name in self._names.items() if name != folder.name}
        if walker is not None:
            raise _twice(folder, walker)
        self._names[graph_id] = folder.name

    def replace(self, before: int, now: int) -> None:
        """Note that a folder goes on as another one of the journal's."""
        self.keys.discard(before)
        self.keys.add(now)


def _twice(folder: WatchedFolder, walker: str) -> PostroomError:
    return PostroomError(
        f"{folder.name} of {folder.mailbox} is the same folder as {walker}, and is walked as {walker} alone.",
        remedy=f"Keep one of the two under `folders` and reload; if the folder was renamed, keep {folder.name}.",
        mailbox=folder.mailbox,
    )
