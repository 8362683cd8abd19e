"""When to try again: pure decisions on errors, Retry-After and back-off."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from postroom.errors import GraphError, Throttled, Unavailable
from postroom.ports import LONGEST_RETRY_AFTER

CONNECT_FAILED = "ConnectFailed"
"""Our own code for a request that never left this machine."""

_LASTING = frozenset({"errormailboxmoveinprogress", "erroritemnotfound", "tlsfailed"})
"""Temporary, but not within a minute: a mailbox on the move, one without folders, an untrusted certificate."""

_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 15.0
_LONGEST_FENCE = 300.0


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds a Retry-After header asks for, an hour at most, or None; both forms of RFC 9110 are read.

    Args:
        headers: With lower-case names.
        now: Compared with a date when the answer has no Date of its own: the sender's clock is the better one.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    seconds = _seconds(value)
    if seconds is None and (moment := _date(value)):
        reference = _date(headers.get("date", "")) or now or datetime.now(UTC)
        seconds = (moment - reference).total_seconds()
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def backoff(attempt: int) -> float:
    """Return the seconds to wait after the `attempt`-th failure (from 1): exponential, with jitter, 15 s at most."""
    longest: float = min(_FIRST_BACKOFF * 2.0 ** (attempt - 1), _LONGEST_BACKOFF)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


def throttle_backoff(strikes: int) -> float:
    """Return the seconds to leave a mailbox alone after the `strikes`-th 429 in a row that does not say how long.

    Immediate retries are harmful and count as requests themselves (Graph throttling docs), so it grows further than
    the wait before a single request is repeated: to five minutes.
    """
    longest: float = min(_FIRST_BACKOFF * 2.0 ** min(strikes - 1, 16), _LONGEST_FENCE)
    return longest * random.uniform(0.75, 1.0)  # noqa: S311 - jitter


def wait_before_retry(error: GraphError, attempt: int, *, repeatable: bool, tries: int, left: float) -> float | None:
    """Return the seconds to wait before trying again, or None when it is of no use or not safe.

    Args:
        error: Why the try failed.
        attempt: Which try it was, from 1.
        repeatable: The request may have been carried out and may be sent again all the same.
        tries: Allowed in all.
        left: Seconds that may still be spent on waiting.
    """
    if attempt >= tries or not (_refused_unread(error) or (repeatable and _may_pass_soon(error))):
        return None
    wait = backoff(attempt) if error.retry_after is None else error.retry_after
    return wait if wait <= left else None


def _refused_unread(error: GraphError) -> bool:
    """The request was certainly not carried out: throttled by Graph, or never sent."""
    return (isinstance(error, Throttled) and error.status > 0) or error.code == CONNECT_FAILED


def _may_pass_soon(error: GraphError) -> bool:
    return isinstance(error, Unavailable) and error.code.lower() not in _LASTING


def _seconds(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if seconds == seconds else None  # noqa: PLR0124 - "nan" parses and is no number


def _date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
