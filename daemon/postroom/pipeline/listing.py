"""Where a listing goes on: pure. The stand-in for delta where delta cannot run.

It goes on by time of receipt and not by Graph's nextLink, which counts items: mail that a rule moves out of the folder
meanwhile would pull others past it unseen. Graph's link is only followed within one and the same moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from postroom.ports import EARLIEST, Page

OVERLAP = timedelta(minutes=15)
"""How far a round reaches back behind the last one: late mail shows up with an earlier receivedDateTime."""

_SINCE = "since:"
_LINK = "link:"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a listing: everything received at `since` or later, or Graph's link within it."""

    since: datetime | None
    link: str | None = None

    def __str__(self) -> str:
        since = [] if self.since is None else [f"{_SINCE}{self.since.isoformat()}"]
        return " ".join(since if self.link is None else [*since, f"{_LINK}{self.link}"])


def read(text: str | None, floor: datetime | None) -> Position:
    """Read a position; None is the beginning, which `floor` says where it is."""
    if text is None:
        return Position(floor)
    words = text.split(" ")
    since = next((datetime.fromisoformat(word[len(_SINCE) :]) for word in words if word.startswith(_SINCE)), None)
    return Position(since, next((word[len(_LINK) :] for word in words if word.startswith(_LINK)), None))


def following(at: Position, page: Page, now: datetime) -> Position | None:
    """Return where the walk goes on after `page`; None when that was the last.

    `now` is one and the same for a whole walk: with a later one for each page, mail that is dated ahead of our clock
    would be listed from its beginning again and again.
    """
    return further(at, _newest(page, now), page.next_link)


def further(at: Position, newest: datetime | None, next_link: str | None) -> Position | None:
    """Return where a walk goes on after a page whose latest time of receipt is `newest`; None when it was the last."""
    if next_link is None:
        return None
    # What is earlier than any time that is told cannot be told apart by it either.
    if newest is None or newest <= EARLIEST or (at.since is not None and newest <= at.since):
        return Position(at.since, next_link)
    return Position(newest)


def resumable(at: Position) -> str | None:
    """Return what is stored in the midst of a walk: Graph's link is no place to resume from."""
    return str(Position(at.since)) or None


def resting(start: Position, at: Position, page: Page, now: datetime) -> str | None:
    """Return what is stored at the end of a walk that began at `start`: where the next one begins."""
    newest = max((each for each in (_newest(page, now), at.since) if each is not None), default=None)
    if newest is None:
        return None
    earliest = max(newest, EARLIEST) - OVERLAP
    return str(Position(earliest if start.since is None else max(earliest, start.since)))


def _newest(page: Page, now: datetime) -> datetime | None:
    """Return the latest time of receipt, which imported mail may put into the future: that must hide none to come."""
    newest = max((entry.message.received_at for entry in page.entries if entry.message is not None), default=None)
    return None if newest is None else min(newest, now)
