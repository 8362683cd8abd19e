"""When a folder is walked next: pure. A grid of its own for each folder, and longer waits while it fails."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from postroom.pipeline.poll import FolderPoller
from postroom.ports import LONGEST_RETRY_AFTER

LONGEST_BACK_OFF = 600.0
"""Seconds between two tries of a folder that keeps failing, unless its interval is longer."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A folder to be watched; `interval` is the seconds from one round to the next."""

    poller: FolderPoller
    interval: float
    tenant: str = ""


@dataclass(order=True, slots=True)
class Due:
    """A folder and when its next round is due (monotonic seconds); `slow` when the last one failed or took long."""

    at: float
    order: int
    watch: Watch = field(compare=False)
    failures: int = field(compare=False, default=0)
    slow: bool = field(compare=False, default=False)

    @property
    def subject(self) -> str:
        """What problems of the folder are reported under."""
        return self.watch.poller.subject

    @property
    def mailbox(self) -> str:
        """The mailbox's address."""
        return self.watch.poller.folder.mailbox


def next_due(subject: str, interval: float, now: float) -> float:
    """Return the next point of the folder's own grid: stable over rounds, spread over folders."""
    phase = (zlib.crc32(subject.encode()) % 10_000) / 10_000 * interval
    return ((now - phase) // interval + 1) * interval + phase


def after_failure(interval: float, failures: int, retry_after: float | None) -> float:
    """Return the seconds to wait after the `failures`-th failed round in a row."""
    wait = interval * 2.0 ** min(failures - 1, 16)
    return max(min(wait, max(LONGEST_BACK_OFF, interval)), min(retry_after or 0.0, LONGEST_RETRY_AFTER))
