"""The clock of a simulated tenant: the system's by default, and under the control of whoever tests against it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class SimulatedClock:
    """Says what time it is in the tenant. Call it; it may be put forward, stopped and let go on.

    Args:
        source: The clock it starts from, aware; the system's without one.
    """

    def __init__(self, source: Callable[[], datetime] | None = None) -> None:
        self._source = source or (lambda: datetime.now(UTC))
        self._ahead = timedelta()
        self._frozen: datetime | None = None

    def __call__(self) -> datetime:
        """Return the time, aware."""
        return self._frozen if self._frozen is not None else self._source() + self._ahead

    @property
    def is_frozen(self) -> bool:
        """Whether it stands still."""
        return self._frozen is not None

    @property
    def ahead(self) -> float:
        """Seconds by which it is ahead of its source; negative when behind."""
        return (self() - self._source()).total_seconds()

    def advance(self, seconds: float) -> None:
        """Put it forward, or back; raises OverflowError beyond the years 1 to 9999."""
        step = timedelta(seconds=seconds)
        _ = self() + step  # out of range is said before anything changes
        if self._frozen is not None:
            self._frozen += step
        else:
            self._ahead += step

    def freeze(self, at: datetime | None = None) -> None:
        """Stop it, where it is or at a given time; raises ValueError for a time without a zone."""
        if at is not None and at.tzinfo is None:
            raise ValueError("A time needs a zone, such as 2026-03-02T09:00:00Z.")
        self._frozen = self() if at is None else at

    def resume(self) -> None:
        """Let it go on from where it stands."""
        if self._frozen is not None:
            self._ahead = self._frozen - self._source()
            self._frozen = None

    def reset(self) -> None:
        """Go with its source again, as if nobody had ever touched it."""
        self._ahead, self._frozen = timedelta(), None
