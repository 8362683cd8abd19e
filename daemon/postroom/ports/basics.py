"""Time, tokens, and whom the pipeline tells what happens; and what is said of waits and of our own limits."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from postroom.model import Delivery

LOCAL_BUDGET = "LocalBudget"
"""The code of a request that our own limits held back."""


LONGEST_RETRY_AFTER = 3600.0
"""Seconds that a Retry-After may keep a mailbox from being tried: a mistaken one must not silence it for a day."""


class Clock(Protocol):
    """Time, so that a test can drive it."""

    def now(self) -> datetime:
        """Return the wall-clock time (aware, UTC)."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Token(Protocol):
    """A source of access tokens for one tenant."""

    async def header(self) -> str:
        """Return the ready ``Bearer ...`` value; raises AuthError when there is no valid token to be had."""

    async def refresh(self) -> None:
        """Get a fresh token ahead of expiry; a failure keeps the present one while it is valid, and is raised."""

    def drop(self, header: str) -> None:
        """Forget the token if it is still the one refused with 401, unless it was fetched a moment ago."""


class Report(Protocol):
    """Where the pipeline says what happens: log, metrics and health are behind it. Cheap when nobody listens."""

    def event(self, name: str, **fields: Any) -> None:
        """Say that something happened; the names are listed in the reference."""

    def done(self, delivery: Delivery, seconds: float) -> None:
        """Say ``delivery`` with state ``done`` and nothing to add: what becomes of most mail, and so without fields."""

    def problem(self, subject: str, error: BaseException | str, **fields: Any) -> None:
        """Say that `subject` (``mailbox a@b/Inbox``, ``token default``, ``journal`` ...) has failed."""

    def recovered(self, subject: str) -> None:
        """Say that `subject` works; silent unless it had a problem."""

    def progress(self, subject: str) -> None:
        """Feed the watchdog: `subject` got something done."""
