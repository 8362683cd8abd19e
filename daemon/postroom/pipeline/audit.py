"""The proof of a folder for a period: what Graph lists held against what the journal has. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

MARGIN = timedelta(minutes=1)
"""Mail so much older than the last round is in the journal: clocks differ, and Graph's times have whole seconds."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A message that the journal should have; `subject` is empty where nobody asked for it, or Graph did not say."""

    id: str
    received_at: datetime
    subject: str = ""


@dataclass(frozen=True, slots=True)
class FolderAudit:
    """What was found of a watched folder. Every message that Graph lists counts once: in a state, or in one of three.

    Attributes:
        last_round: When the folder was last walked to its end, as far as the journal knows.
        seen: Messages in the folder at Graph.
        states: How it stands with those the journal has: the weightiest state of their deliveries, or why none is.
        missing: What the journal should have and has not, oldest first.
        to_come: Received too late for the last round.
        before_start: From before the folder was watched, and not remembered.
        extra: In the journal and no longer in the folder: moved or deleted since.
        error: Why the folder could not be read; then nothing else is known.
    """

    mailbox: str
    folder: str
    last_round: datetime | None = None
    mode: str = ""
    seen: int = 0
    states: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[Missing, ...] = ()
    to_come: int = 0
    before_start: int = 0
    extra: int = 0
    error: str = ""

    @property
    def journalled(self) -> int:
        """How many of the messages that Graph lists the journal has."""
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class Watched:
    """A watched folder as the journal knows it; `floor` is where it began, None at the beginning of all mail."""

    mailbox: str
    folder: str
    floor: datetime | None = None
    last_round: datetime | None = None
    mode: str = ""


def compare(watched: Watched, listed: Mapping[str, datetime], journalled: Mapping[str, str]) -> FolderAudit:
    """Hold what Graph lists (id -> time of receipt) against what the journal has (id -> state)."""
    unknown = {each: received for each, received in listed.items() if each not in journalled}
    before = {each for each, received in unknown.items() if watched.floor is not None and received < watched.floor}
    covered = None if watched.last_round is None else watched.last_round - MARGIN
    late = {each for each, received in unknown.items() if covered is None or received >= covered} - before
    missing = sorted((received, each) for each, received in unknown.items() if each not in before and each not in late)
    return FolderAudit(
        watched.mailbox,
        watched.folder,
        watched.last_round,
        watched.mode,
        seen=len(listed),
        states=dict(Counter(state for each, state in journalled.items() if each in listed)),
        missing=tuple(Missing(each, received) for received, each in missing),
        to_come=len(late),
        before_start=len(before),
        extra=sum(each not in listed for each in journalled),
    )


def confirmed(first: FolderAudit, again: FolderAudit) -> FolderAudit:
    """Return the second look with only that missing which both missed; the rest is just being brought."""
    before = {each.id for each in first.missing}
    missing = tuple(each for each in again.missing if each.id in before)
    return replace(again, missing=missing, to_come=again.to_come + len(again.missing) - len(missing))
