"""Named weather: sets of faults that belong together, from a calm day to a bad Tuesday.

Probabilities are such that a client which retries sensibly gets its work done, and one which does not loses mail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from postroom.simulator.effects import (
    ControlCharacters,
    Delayed,
    EmptyBody,
    EntraAnswer,
    GraphAnswer,
    HtmlPage,
    Reset,
    Stalled,
    Truncated,
)
from postroom.simulator.faults import Effect, Fault

GRAPH = "/v1.0/*"
DELTA = "/v1.0/*/messages/*delta*"
TOKEN = "*/oauth2/v2.0/token"  # noqa: S105 - a path

_OVER = "Application is over its MailboxConcurrency limit."


@dataclass(frozen=True, slots=True)
class Profile:
    """A set of faults with a name.

    Attributes:
        summary: What it is like, in a few words.
        faults: Makes its rules anew.
        nuisances: What change tracking does by the way: the fields of `postroom.simulator.state.Nuisance`.
        full: Whether every mailbox is full.
    """

    name: str
    summary: str
    faults: Callable[[], list[Fault]]
    nuisances: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    full: bool = False


def _always(effect: Effect, name: str, chance: float, path: str = GRAPH, method: str = "*") -> Fault:
    """Make a rule that goes on for ever, by chance."""
    return Fault(effect, path=path, method=method, count=None, probability=chance, name=name)


def _throttled() -> list[Fault]:
    return [
        Fault(EntraAnswer(90055, retry_after=1), path=TOKEN, name="sign-in throttled"),
        _always(GraphAnswer(429, "ApplicationThrottled", _OVER, retry_after=1), "429 with Retry-After", 0.06),
        _always(GraphAnswer(429, "ApplicationThrottled", _OVER), "429 without Retry-After", 0.05),
        _always(GraphAnswer(429, "TooManyRequests", retry_after=1, as_date=True), "429 until a date", 0.04),
        _always(GraphAnswer(503, "ServiceUnavailable", retry_after=1), "503 with Retry-After", 0.04),
    ]


def _resets() -> list[Fault]:
    return [
        _always(GraphAnswer(410, "SyncStateInvalid"), "410 SyncStateInvalid", 0.1, DELTA),
        _always(GraphAnswer(410, "ResyncRequired"), "410 without a Location", 0.1, DELTA),
    ]


def _quota_full() -> list[Fault]:
    full = GraphAnswer(
        403, "ErrorQuotaExceeded", "Mailbox has exceeded maximum mailbox size. Cannot save changes made to an item."
    )
    return [_always(full, "full mailbox", 1.0, DELTA)]


def _slow() -> list[Fault]:
    return [_always(Delayed(1.5), "very late answer", 0.05), _always(Delayed(0.3), "late answer", 0.5)]


def _lossy() -> list[Fault]:
    return [
        _always(Reset(), "connection reset", 0.05),
        _always(Reset(serve=True), "reset after the work", 0.04),
        _always(Truncated(), "truncated body", 0.05),
        _always(Stalled(seconds=1.0, part=0.5), "stalled read", 0.04),
        _always(HtmlPage(502), "gateway's page", 0.05),
        _always(EmptyBody(503), "503 with nothing", 0.04),
    ]


def _bad_tuesday() -> list[Fault]:
    return [
        Fault(EntraAnswer(90033, retry_after=1), path=TOKEN, name="sign-in unavailable"),
        _always(GraphAnswer(401, "InvalidAuthenticationToken"), "stale token", 0.02),
        _always(GraphAnswer(429, "ApplicationThrottled", _OVER, retry_after=1), "429 with Retry-After", 0.03),
        _always(GraphAnswer(429, "ApplicationThrottled", _OVER), "429 without Retry-After", 0.03),
        _always(GraphAnswer(503, "ErrorMailboxMoveInProgress"), "mailbox on the move", 0.02),
        _always(GraphAnswer(500, "ErrorInternalServerTransientError"), "transient server error", 0.03),
        _always(GraphAnswer(504, "UnknownError"), "gateway timeout", 0.03),
        _always(EmptyBody(503), "503 with nothing", 0.03),
        _always(HtmlPage(502), "gateway's page", 0.03),
        _always(Reset(serve=True), "reset after the work", 0.03),
        _always(Truncated(), "truncated body", 0.03),
        _always(ControlCharacters(), "control characters", 0.05, GRAPH, "GET"),
        _always(Delayed(0.2), "late answer", 0.1),
    ]


_SMALL_PRINT = {
    "replay": 0.1,
    "duplicate": 0.1,
    "empty_page": 0.1,
    "partial": 0.3,
    "noise": 0.1,
    "late": 0.2,
    "late_seconds": (0.2, 0.8),
    "forget": 0.05,
}
"""What Graph may do to change tracking within its contract, on one day."""

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            Profile("calm", "Everything works.", list),
            Profile("throttled", "429 and 503, with seconds to wait, a date, or nothing.", _throttled),
            Profile("bad-tuesday", "A little of everything, all the time.", _bad_tuesday, _SMALL_PRINT),
            Profile(
                "resets", "Delta links die, and folders must be listed again.", _resets, {"reset": 0.1, "forget": 0.1}
            ),
            Profile("quota-full", "Every mailbox is full: change tracking is refused.", _quota_full, full=True),
            Profile(
                "slow",
                "Answers come late, some very late, and so does mail.",
                _slow,
                {"late": 0.5, "late_seconds": (0.2, 1.5)},
            ),
            Profile("lossy-network", "Resets, cut and stalled answers, a gateway's HTML page.", _lossy),
        )
    }
)
"""All profiles, by name; the calm one first."""
