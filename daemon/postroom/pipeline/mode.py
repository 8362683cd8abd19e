"""Which way a folder is walked: by delta, or by listing while delta cannot run; and the way back."""

from __future__ import annotations

from dataclasses import replace

from postroom.ports import Clock, Report, WatchedFolder

DELTA_RETRY = 1800.0
"""Seconds a folder stays in listing mode before delta is tried again."""

STORM = 3
"""Resets of a folder's delta within `STORM_SPAN` after which it is listed instead for a while."""

STORM_SPAN = 3600.0

DELTA_PATIENCE = 3
"""Rounds in a row in which delta may fail before a listing is tried in its place: few enough to stay fresh."""

_BEFORE = "It was listed already when the daemon started, or was reloaded."

_BACK = "All mail is handled. Delta is tried again every half hour, and at once after a reload or restart"
FULL = f"Empty the mailbox or raise its quota. {_BACK}."
"""What to do where delta finds no room for its state in the mailbox."""
WAIT = f"{_BACK}; if it goes on for days, ask Microsoft's support why delta fails."
"""What to do where the mailbox is not to blame."""


class FolderMode:
    """Decides for each round how a folder is walked, and says once when that changes.

    Both ways are remembered where they stood: a link that delta had before its rest may be good still, and if delta
    fails again the listing goes on where it was. A folder that is taken over in listing mode has delta tried at once:
    what ailed it may have been mended, and if not, its failure says again what it is.

    Attributes:
        is_trial: Delta is being tried again, and the listing goes on in silence if it fails.
    """

    def __init__(self, folder: WatchedFolder, *, delta: bool, clock: Clock, report: Report) -> None:
        self.is_trial = False
        self._delta = delta
        self._clock = clock
        self._report = report
        self._listing_at: WatchedFolder | None = None
        self._delta_at: WatchedFolder | None = None
        self._resting_until = 0.0
        self._since = clock.monotonic() if delta and folder.mode == "listing" else None
        self._is_said = False
        self._resets: list[float] = []
        self._failures = 0

    def chosen(self, folder: WatchedFolder) -> WatchedFolder:
        """Return the folder as the round that begins now is to walk it."""
        if folder.mode == "delta":
            return folder if self._delta else replace(folder, mode="listing", link=None, walk="full")
        if not self._delta:
            return folder
        if self._clock.monotonic() < self._resting_until:
            self.announce(folder, _BEFORE, WAIT)
            return folder
        self.is_trial = True
        self._listing_at = folder
        return self._delta_at or replace(folder, mode="delta", link=None, walk="full")

    def went_well(self, folder: WatchedFolder) -> None:
        """Note that a round came to its end: if by delta, whatever ailed it is over."""
        if folder.mode != "delta":
            return
        self.is_trial = False
        self._failures = 0
        self._listing_at = self._delta_at = None
        if self._since is not None:
            seconds = round(self._clock.monotonic() - self._since, 1)
            self._since, self._is_said = None, False
            self._report.event("restored", mailbox=folder.mailbox, folder=folder.name, mode="delta", seconds=seconds)

    def listed(self, folder: WatchedFolder, *, keep_link: bool) -> WatchedFolder:
        """Return the folder as listing takes it up: from where it stood, if it did.

        Args:
            folder: As delta left it.
            keep_link: Delta may go on from its link when it is tried again.
        """
        self.is_trial = False
        self._failures = 0
        self._resting_until = self._clock.monotonic() + DELTA_RETRY
        self._delta_at = folder if keep_link and folder.link is not None else None
        return self._listing_at or replace(folder, mode="listing", link=None, walk="full")

    def announce(self, folder: WatchedFolder, reason: str, remedy: str) -> None:
        """Say that the folder is listed now, and what to do; while it goes on nothing more is said."""
        if self._since is None:
            self._since = self._clock.monotonic()
        if not self._is_said:
            self._is_said = True
            own = {"mailbox": folder.mailbox, "folder": folder.name, "mode": "listing"}
            self._report.event("fallback", **own, reason=reason, remedy=remedy)

    def forget(self) -> None:
        """Another folder has the name now: where either way stood means nothing."""
        self._listing_at = self._delta_at = None

    def has_stormed(self) -> bool:
        """Count a reset of delta, and say whether there were too many of them lately."""
        now = self._clock.monotonic()
        self._resets = [*(each for each in self._resets if now - each < STORM_SPAN), now]
        return len(self._resets) >= STORM

    def is_out_of_patience(self) -> bool:
        """Count a round in which delta failed, and say whether a listing shall be tried in its place."""
        self._failures += 1
        return self._failures >= DELTA_PATIENCE
