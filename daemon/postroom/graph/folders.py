"""Folder names to folder ids: well-known names, and paths walked name by name."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping, Sequence

from postroom.errors import Conflict, NotFound
from postroom.graph.budget import Priority
from postroom.graph.call import Call
from postroom.graph.client import GraphClient
from postroom.graph.decode import decode
from postroom.graph.paging import pages
from postroom.graph.tolerant import dumps
from postroom.graph.urls import Urls
from postroom.graph.wire import WireFolder, WireFolders

WELL_KNOWN = frozenset(
    {
        "archive",
        "clutter",
        "conflicts",
        "conversationhistory",
        "deleteditems",
        "drafts",
        "inbox",
        "junkemail",
        "localfailures",
        "msgfolderroot",
        "outbox",
        "recoverableitemsdeletions",
        "scheduled",
        "searchfolders",
        "sentitems",
        "serverfailures",
        "syncissues",
    }
)
"""Names that mean the same folder in every language (mailFolder resource docs)."""


REMEMBERED = 600.0
"""Seconds that a folder's id is believed: a person may rename the folder and make another of its name meanwhile."""


def well_known(name: str) -> str | None:
    """Return the well-known name that `name` stands for, as ``Sent Items`` does for ``sentitems``, or None."""
    squeezed = "".join(name.split()).lower()
    return squeezed if squeezed in WELL_KNOWN else None


def match(names: Mapping[str, str], parts: Sequence[str]) -> tuple[str, int] | None:
    """Find which child the path goes on with: its id, and how many parts its name takes up.

    Upper and lower case are one. A folder's own name may contain ``/``, so the longest name that fits is taken.

    Args:
        names: Display names in lower case -> ids.
        parts: What is left of the path.
    """
    for count in range(len(parts), 0, -1):
        found = names.get("/".join(parts[:count]).casefold())
        if found is not None:
            return found, count
    return None


class Folders:
    """The folders of one mailbox; ids are remembered until `forget`, and for `REMEMBERED` seconds at most."""

    def __init__(self, client: GraphClient, urls: Urls, mailbox: str) -> None:
        self._client = client
        self._urls = urls
        self._mailbox = mailbox
        self._known: dict[str, tuple[str, float]] = {}
        self._making = asyncio.Lock()

    async def find(self, name: str) -> str:
        """Return the id of a well-known name or path; raises NotFound that names the missing part."""
        return self._remembered(name) or await self._resolve(name, make=False)

    async def ensure(self, name: str) -> str:
        """Return the id, making the folders of the path that are missing."""
        if (known := self._remembered(name)) is not None:
            return known
        async with self._making:  # two moves to the same new folder make it once
            return self._remembered(name) or await self._resolve(name, make=True)

    def _remembered(self, name: str) -> str | None:
        folder_id, asked = self._known.get(_key(name), (None, 0.0))
        return folder_id if self._client.clock.monotonic() - asked < REMEMBERED else None

    def forget(self, folder_id: str) -> None:
        """Look the folder up again next time: Graph says that this id is gone."""
        self._known = {name: each for name, each in self._known.items() if each[0] != folder_id}

    async def _resolve(self, name: str, *, make: bool) -> str:
        asked = self._client.clock.monotonic()
        parts = [part.strip() for part in name.split("/") if part.strip()]
        folder_id, done = await self._start(parts)
        while folder_id is None or done < len(parts):
            folder_id, count = await self._step(folder_id, parts, done, make=make)
            done += count
        self._known[_key(name)] = (folder_id, asked)
        return folder_id

    async def _start(self, parts: Sequence[str]) -> tuple[str | None, int]:
        """Resolve a well-known first part; one that this mailbox does not have may be an ordinary name."""
        if not parts:
            raise NotFound("A folder has an empty name.", remedy="Give a folder's name or path.", mailbox=self._mailbox)
        if (known := well_known(parts[0])) is None:
            return None, 0
        doing = f"looking up {parts[0]} in {self._mailbox}"
        try:
            body = await self._client.fetch(self._get(self._urls.folder(known), doing))
        except NotFound as error:
            if "folder" not in error.code.lower() and "item" not in error.code.lower():
                raise
            return None, 0
        return decode(WireFolder, body, doing=doing, mailbox=self._mailbox).id, 1

    async def _step(self, parent: str | None, parts: Sequence[str], done: int, *, make: bool) -> tuple[str, int]:
        names = await self._children(parent)
        if (found := match({name.casefold(): each for name, each in names.items()}, parts[done:])) is not None:
            return found
        if make:
            return await self._make(parent, parts[done]), 1
        raise self._missing(parts, done, list(names))

    async def _children(self, parent: str | None) -> dict[str, str]:
        """Return the display names and ids of all child folders."""
        names: dict[str, str] = {}
        doing = f"listing the folders of {self._mailbox}"
        first = self._get(self._urls.children(parent), doing)
        for page in await pages(self._client, WireFolders, first, lambda link: self._get(link, doing)):
            for each in page.value:
                if each.id and each.display_name:
                    names.setdefault(each.display_name.strip(), each.id)
        return names

    async def _make(self, parent: str | None, name: str) -> str:
        """Make one folder; when somebody was faster, theirs is as good."""
        doing = f"making folder {name} in {self._mailbox}"
        call = Call(
            "POST",
            self._urls.new_folder(parent),
            self._mailbox,
            doing,
            {"Content-Type": "application/json"},
            dumps({"displayName": name}),
            repeatable=False,
            success=201,
        )
        try:
            return decode(WireFolder, await self._client.fetch(call), doing=doing).id
        except Conflict:
            names = {each.casefold(): found for each, found in (await self._children(parent)).items()}
            if name.casefold() not in names:
                raise
            return names[name.casefold()]

    def _get(self, url: str, doing: str) -> Call:
        return Call("GET", url, self._mailbox, doing, priority=Priority.POLL)

    def _missing(self, parts: Sequence[str], done: int, present: Sequence[str]) -> NotFound:
        where = f"in {'/'.join(parts[:done])}" if done else "at the top"
        near = difflib.get_close_matches(parts[done], present, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return NotFound(
            f"Folder {'/'.join(parts)} is not in {self._mailbox}: there is no {parts[done]!r} {where}.",
            code="FolderNotFound",
            remedy=f"Make the folder or change the configuration.{hint}",
            mailbox=self._mailbox,
        )


def _key(name: str) -> str:
    return "/".join(part.strip() for part in name.split("/") if part.strip()).casefold()
