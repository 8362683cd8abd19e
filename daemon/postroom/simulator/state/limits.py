"""How much one app may ask of one mailbox: requests in flight, requests and uploaded bytes in a window of time.

Sources: LEARN throttling-limits and throttling-outlook.md for the figures; alcionai/corso#3695 for code and text.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Any

_BUCKETS = 60
_COMPANY = 0.05


class Throttled(Exception):
    """A limit was exceeded.

    Attributes:
        limit: Which: ``MailboxConcurrency``, ``MailboxRequests``, ``IncomingBytes`` or ``ApplicationRequests``.
        wait: Seconds until it is worth another try.
    """

    def __init__(self, limit: str, wait: int) -> None:
        super().__init__(f"Application is over its {limit} limit.")
        self.limit = limit
        self.wait = wait


class Meter:
    """Counts what happened in a window that slides, in steps of a sixtieth of it."""

    __slots__ = ("_buckets", "_step", "_total", "_window")

    def __init__(self, window: float) -> None:
        self._window = window
        self._step = window / _BUCKETS
        self._buckets: deque[list[float]] = deque()
        self._total = 0.0

    def add(self, now: float, amount: float = 1) -> float:
        """Count something; returns what the window holds with it."""
        self._slide(now)
        if not self._buckets or now >= self._buckets[-1][0] + self._step:
            self._buckets.append([now, 0.0])
        self._buckets[-1][1] += amount
        self._total += amount
        return self._total

    def wait(self, now: float) -> int:
        """Return the whole seconds until the oldest of it no longer counts."""
        self._slide(now)
        return max(math.ceil(self._buckets[0][0] + self._window - now), 1) if self._buckets else 1

    def _slide(self, now: float) -> None:
        while self._buckets and self._buckets[0][0] <= now - self._window:
            self._total -= self._buckets.popleft()[1]


@dataclass(slots=True)
class Use:
    """What one app makes of one mailbox.

    Attributes:
        connection: Which connection its last request came over, at the time `seen`.
    """

    requests: Meter
    uploads: Meter
    in_flight: int = 0
    connection: int = 0
    seen: float = 0.0

    def has_company(self, connection: int, now: float) -> bool:
        """Tell whether requests come over several connections at once, and note this one."""
        company = connection != self.connection and now - self.seen < _COMPANY
        self.connection, self.seen = connection, now
        return company


@dataclass(slots=True)
class Limits:
    """The limits in force; put others in place of `TenantState.limits` while it runs.

    Attributes:
        in_flight: Requests at a time, of one app to one mailbox.
        requests: Requests in `window` seconds, likewise; refused ones count too (GDC concepts/throttling.md).
        upload: Bytes of POST, PATCH and PUT bodies in `upload_window` seconds, likewise.
        app_requests: Requests of one app in `app_window` seconds, whatever they are about.
        say_when: Whether a refusal carries Retry-After.
        code: What a refusal is called: also ``TooManyRequests`` and ``activityLimitReached`` were seen.
        service_time: Seconds a request lasts when its app talks to the mailbox over several connections. Without it a
            server that answers at once would never have two requests in flight; a client alone is not held up.
        refused: How often each limit refused.
    """

    in_flight: int = 4
    requests: int = 10_000
    window: float = 600
    upload: int = 150 * 1024 * 1024
    upload_window: float = 300
    app_requests: int = 130_000
    app_window: float = 10
    say_when: bool = True
    code: str = "ApplicationThrottled"
    service_time: float = 0.02
    refused: Counter[str] = field(default_factory=Counter)
    _uses: dict[tuple[str, str], Use] = field(default_factory=dict, repr=False)
    _apps: dict[str, Meter] = field(default_factory=dict, repr=False)

    def renewed(self, **changes: Any) -> Limits:
        """Return these limits, some of them changed, with nothing counted yet."""
        return replace(self, **changes, refused=Counter(), _uses={}, _apps={})

    def use(self, app_id: str, mailbox_id: str) -> Use:
        """Return what an app makes of a mailbox."""
        use = self._uses.get((app_id, mailbox_id))
        if use is None:
            use = self._uses[app_id, mailbox_id] = Use(Meter(self.window), Meter(self.upload_window))
        return use

    def check_app(self, app_id: str, now: float) -> None:
        """Count a request of an app; raises Throttled."""
        meter = self._apps.get(app_id)
        if meter is None:
            meter = self._apps[app_id] = Meter(self.app_window)
        if meter.add(now) > self.app_requests:
            self._refuse("ApplicationRequests", meter.wait(now))

    def check(self, use: Use, now: float) -> None:
        """Count a request to a mailbox; raises Throttled."""
        if use.requests.add(now) > self.requests:
            self._refuse("MailboxRequests", use.requests.wait(now))
        if use.in_flight >= self.in_flight:
            self._refuse("MailboxConcurrency", 1)

    def check_upload(self, use: Use, now: float, uploaded: int) -> None:
        """Count uploaded bytes; raises Throttled."""
        if use.uploads.add(now, uploaded) > self.upload:
            self._refuse("IncomingBytes", use.uploads.wait(now))

    def _refuse(self, limit: str, wait: int) -> None:
        self.refused[limit] += 1
        raise Throttled(limit, wait)
