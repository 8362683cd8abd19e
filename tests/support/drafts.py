"""A `ports.Drafts` in memory: a mailbox's own mails, and a post that can fail before and after it has done its work."""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from datetime import datetime

from postroom.outgoing import Letter
from postroom.ports import Draft


class MemoryDrafts:
    """Keeps drafts and sent mail by id, with their tags.

    Attributes:
        before: Method -> errors to raise instead of working, one a call; `after`: the same, having worked.
        delivered: Tag of each mail that left, in order.
        since: From when on mails were looked for, each time.
    """

    def __init__(self) -> None:
        self.items: dict[str, tuple[str, bool]] = {}
        self.before: dict[str, deque[BaseException | None]] = defaultdict(deque)
        self.after: dict[str, deque[BaseException | None]] = defaultdict(deque)
        self.delivered: list[str] = []
        self.made: list[Letter] = []
        self.calls: list[str] = []
        self.since: list[datetime] = []
        self._ids = itertools.count(1)

    async def find(self, tag: str, since: datetime) -> tuple[Draft, ...]:
        self._begin("find")
        self.since.append(since)
        found = tuple(Draft(key, is_draft) for key, (known, is_draft) in self.items.items() if known == tag)
        self._end("find")
        return found

    async def make(self, message_id: str, action: Letter, tag: str) -> Draft:
        self._begin("make")
        key = f"draft-{next(self._ids)}"
        self.items[key] = tag, True
        self.made.append(action)
        self._end("make")
        return Draft(key, True, 1)

    async def look(self, draft_id: str) -> Draft | None:
        self._begin("look")
        known = self.items.get(draft_id)
        self._end("look")
        return None if known is None else Draft(draft_id, known[1])

    async def send(self, draft_id: str) -> None:
        self._begin("send")
        tag, is_draft = self.items[draft_id]
        assert is_draft, "what was sent cannot be sent again"
        self.items[draft_id] = tag, False
        self.delivered.append(tag)
        self._end("send")

    async def discard(self, draft_id: str) -> None:
        self._begin("discard")
        assert self.items.pop(draft_id)[1], "what was sent must not be deleted"
        self._end("discard")

    def _begin(self, name: str) -> None:
        self.calls.append(name)
        self._fail(self.before[name])

    def _end(self, name: str) -> None:
        self._fail(self.after[name])

    @staticmethod
    def _fail(errors: deque[BaseException | None]) -> None:
        if errors and (error := errors.popleft()) is not None:
            raise error
