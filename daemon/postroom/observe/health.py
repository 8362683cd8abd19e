"""Health: what is wrong, how fresh each folder is, and whether work gets done. State only; `Report` feeds it."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from postroom.errors import PostroomError
from postroom.observe.notices import Withheld, waiting
from postroom.observe.redact import clean, redact
from postroom.ports import Clock

Status = Literal["ok", "degraded", "failing"]
Phase = Literal["starting", "running", "stopping"]
Severity = Literal["error", "warning"]

OF_A_FOLDER = ("mailbox", "mode", "reconcile", "freshness")
"""Subjects (their first word) of which each watched folder has its own."""

OF_A_MAILBOX = ("mailbox", "requests", "sending")
"""Subjects (their first word) of which each mailbox has its own."""

VITAL = frozenset({"journal"})
"""Subjects (their first word) without which nothing can be handled."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A subject that does not work, since when and why.

    Attributes:
        id: The same for the same subject, always: what log, console and metrics have in common.
        what: What happened.
        remedy: What the operator can do; may be empty.
        count: How often it was reported in a row.
        severity: ``warning`` where all mail is handled, though not as it should be.
    """

    id: str
    subject: str
    what: str
    remedy: str
    since: datetime
    last: datetime
    count: int = 1
    fields: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "error"

    def same_text(self, other: Trouble) -> bool:
        """Say whether both read the same, numbers apart (waits, ports and request counts differ each time)."""
        return _without_numbers(self.what) == _without_numbers(other.what)


@dataclass(slots=True)
class Freshness:
    """When a watched folder was last walked to its end. `limit` is the age in seconds that is still healthy."""

    limit: float
    watched: float
    walked: float | None = None
    walked_at: datetime | None = None

    def age(self, now: float) -> float:
        """Return the seconds since the last finished round, or since watching began."""
        return now - (self.watched if self.walked is None else self.walked)


@dataclass(slots=True)
class _Expectation:
    within: float
    last: float


class Health:
    """What is wrong right now, and since when. Knows the time, does nothing else but remember."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expected: dict[str, _Expectation] = {}
        self._tenants: Mapping[str, str] = {}
        self._mailboxes: set[str] = set()
        self._started_at = clock.now()
        self.phase: Phase = "starting"
        self.troubles: dict[str, Trouble] = {}
        self.folders: dict[tuple[str, str], Freshness] = {}
        self.modes: dict[tuple[str, str], str] = {}
        self.unaccounted: dict[tuple[str, str], int] = {}
        self.counts: Mapping[str, int] = {}
        self.withheld = Withheld(clock)

    def watch(self, folders: Mapping[tuple[str, str], float], tenants: Mapping[str, str] | None = None) -> None:
        """Set the watched (mailbox, folder) pairs with the age in seconds each may reach; known ages are kept.

        `tenants` says which one each mailbox is of.
        """
        now = self._clock.monotonic()
        self._tenants = tenants or {}
        gone = self.folders.keys() - folders.keys()
        self.forget([f"{what} {mailbox}/{folder}" for mailbox, folder in gone for what in OF_A_FOLDER])
        mailboxes = {mailbox for mailbox, _ in folders}
        self.forget([f"{what} {mailbox}" for mailbox in self._mailboxes - mailboxes for what in OF_A_MAILBOX])
        self._mailboxes = mailboxes
        for key in gone:
            self.modes.pop(key, None)
            self.unaccounted.pop(key, None)
        self.folders = {
            key: replace(known, limit=limit) if (known := self.folders.get(key)) else Freshness(limit, now)
            for key, limit in folders.items()
        }

    def walked(self, mailbox: str, folder: str, mode: str = "delta") -> None:
        """Note that a round of a watched folder is finished, and how it was walked."""
        if (freshness := self.folders.get((mailbox, folder))) is not None:
            freshness.walked, freshness.walked_at = self._clock.monotonic(), self._clock.now()
            self.modes[mailbox, folder] = mode

    def reconciled(self, mailbox: str, folder: str, unaccounted: int) -> None:
        """Note how many messages of a watched folder are known to be missing in the journal."""
        if (mailbox, folder) in self.folders:
            self.unaccounted[mailbox, folder] = unaccounted

    def problem(
        self, subject: str, error: BaseException | str, fields: Mapping[str, Any], severity: Severity = "error"
    ) -> Trouble:
        """Note that `subject` has failed and return its trouble, with `count` saying how often in a row."""
        before, now = self.troubles.get(subject), self._clock.now()
        what, remedy, more = _words(error)
        trouble = Trouble(
            id=problem_id(subject),
            subject=subject,
            what=what,
            remedy=remedy,
            since=before.since if before else now,
            last=now,
            count=before.count + 1 if before else 1,
            fields=clean({**more, **fields}),
            severity=severity,
        )
        self.forget(self.replaced_by(subject))
        self.troubles[subject] = trouble
        self.progress(subject)
        return trouble

    def replaced_by(self, subject: str) -> list[str]:
        """Name the problems that are over once `subject` has one: one cause is one problem, of a mailbox as a whole."""
        mailbox = subject.removeprefix("mailbox ")
        if mailbox not in self._mailboxes:
            return []
        within = (f"mailbox {mailbox}/", f"freshness {mailbox}/")
        return [each for each in self.troubles if each.startswith(within)]

    def present(self) -> dict[str, Trouble]:
        """Return what is wrong now. How a folder is walked is no matter while its mailbox is parked: it is not."""
        of_parked = tuple(f"mode {mailbox}/" for mailbox in self._mailboxes if self.is_parked(mailbox))
        return {subject: each for subject, each in self.troubles.items() if not subject.startswith(of_parked)}

    def recovered(self, subject: str) -> Trouble | None:
        """Note that `subject` works; returns the trouble that is over, if there was one."""
        self.progress(subject)
        return self.troubles.pop(subject, None)

    def forget(self, subjects: Collection[str]) -> None:
        """Drop the troubles of what is no longer configured."""
        for subject in subjects:
            self.troubles.pop(subject, None)

    def expect(self, subject: str, within: float) -> None:
        """From now on `subject` must make progress at least every `within` seconds."""
        self._expected[subject] = _Expectation(within, self._clock.monotonic())

    def progress(self, subject: str) -> None:
        """Note that `subject` got something done. An attempt that failed is progress too: the daemon is not stuck."""
        if (expected := self._expected.get(subject)) is not None:
            expected.last = self._clock.monotonic()

    def stuck(self, now: float) -> list[str]:
        """Name the subjects that should have made progress by `now` (monotonic seconds) and have not."""
        return [name for name, expected in self._expected.items() if now - expected.last > expected.within]

    def is_progressing(self, now: float) -> bool:
        """Say whether the watchdog may be fed at `now` (monotonic seconds)."""
        return not self.stuck(now)

    def is_parked(self, mailbox: str) -> bool:
        """Say whether a mailbox has a problem as a whole: none of its folders is walked then."""
        return f"mailbox {mailbox}" in self.troubles

    def is_shut_out(self, mailbox: str) -> bool:
        """Say whether why its folders are late is known: it is parked, or nobody signs in to its tenant."""
        return self.is_parked(mailbox) or f"token {self._tenants.get(mailbox)}" in self.troubles

    def stale(self, now: float) -> list[tuple[str, str]]:
        """Name the watched folders whose last finished round is too long ago."""
        return [key for key, freshness in self.folders.items() if freshness.age(now) > freshness.limit]

    def status(self) -> Status:
        """``failing`` when nothing can be handled, ``degraded`` when something cannot, else ``ok``."""
        now = self._clock.monotonic()
        stale, stuck = self.stale(now), self.stuck(now)
        vital = any(subject.split(" ", 1)[0] in VITAL for subject in self.troubles)
        if vital or stuck or (stale and len(stale) == len(self.folders)):
            return "failing"
        return "degraded" if self.troubles or stale else "ok"

    def snapshot(self) -> dict[str, Any]:
        """Return all of it as JSON types; the reference describes the fields."""
        now = self._clock.monotonic()
        return {
            "status": self.status(),
            "phase": self.phase,
            "started_at": self._started_at.isoformat(),
            "problems": [_problem(trouble) for trouble in self.present().values()],
            "notices": [*waiting(self.counts), *self.withheld.notices()],
            "stuck": self.stuck(now),
            "mailboxes": [self._folder(key, freshness, now) for key, freshness in self.folders.items()],
            "counts": dict(self.counts),
        }

    def _folder(self, key: tuple[str, str], freshness: Freshness, now: float) -> dict[str, Any]:
        return {
            **_folder(key, freshness, now),
            "mode": self.modes.get(key),
            "unaccounted": self.unaccounted.get(key, 0),
            "parked": self.is_parked(key[0]),
        }


def problem_id(subject: str) -> str:
    """Return the short id under which `subject` appears in log, console and command line."""
    return f"{zlib.crc32(subject.encode('utf-8', 'replace')):08x}"


def _words(error: BaseException | str) -> tuple[str, str, Mapping[str, Any]]:
    if isinstance(error, PostroomError):
        return redact(error.message), redact(error.remedy), error.fields
    if isinstance(error, asyncio.CancelledError):
        return "Stopped before it was finished.", "", {}
    return redact(error if isinstance(error, str) else f"{type(error).__name__}: {error}".rstrip(": ")), "", {}


def _without_numbers(text: str) -> str:
    return re.sub(r"[0-9a-f-]*\d[0-9a-f-]*", "#", text, flags=re.IGNORECASE)


def _problem(trouble: Trouble) -> dict[str, Any]:
    return {
        "id": trouble.id,
        "what": trouble.what,
        "where": trouble.subject,
        "what_to_do": trouble.remedy,
        "since": trouble.since.isoformat(),
        "last": trouble.last.isoformat(),
        "count": trouble.count,
        "severity": trouble.severity,
        "fields": dict(trouble.fields),
    }


def _folder(key: tuple[str, str], freshness: Freshness, now: float) -> dict[str, Any]:
    mailbox, folder = key
    age = freshness.age(now)
    return {
        "mailbox": mailbox,
        "folder": folder,
        "age_seconds": round(age, 1),
        "limit_seconds": freshness.limit,
        "stale": age > freshness.limit,
        "last_round": freshness.walked_at.isoformat() if freshness.walked_at else None,
    }
