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
        faults: Makes its rules anew; what voids the delta links of a folder is handed in.
        nuisances: What the mailboxes do by the way; see `postroom.simulator.state`.
        full: Whether every mailbox is full.
    """

    name: str
    summary: str
    faults: Callable[[Effect], list[Fault]]
    nuisances: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    full: bool = False


def _always(effect: Effect, name: str, chance: float, path: str = GRAPH, method: str = "*") -> Fault:
    """Make a rule that goes on for ever, by chance."""
    return Fault(effect, path=path, method=method, count=None, probability=chance, name=name)


def _throttled(_void: Effect) -> list[Fault]:
    return [
        Fault(EntraAnswer(90055, retry_after=1), path=TOKEN, name="sign-in throttled"),
        _always(GraphAnswer(429, "ApplicationThrottled", _OVER, retry_after=1), "429 with Retry-After", 0.06),
        _always(GraphAnswer(429, "ApplicationThrottled", _OVER), "429 without Retry-After", 0.05),
        _always(GraphAnswer(429, "TooManyRequests", retry_after=2, as_date=True), "429 until a date", 0.04),
        _always(GraphAnswer(503, "ServiceUnavailable", retry_after=1), "503 with Retry-After", 0.04),
    ]


def _resets(void: Effect) -> list[Fault]:
    return [
        _always(void, "links void", 0.1, DELTA),
        _always(GraphAnswer(410, "SyncStateNotFound"), "410 SyncStateNotFound", 0.06, DELTA),
        _always(GraphAnswer(410, "SyncStateInvalid"), "410 SyncStateInvalid", 0.06, DELTA),
    ]


def _quota_full(_void: Effect) -> list[Fault]:
    full = GraphAnswer(
        403, "ErrorQuotaExceeded", "Mailbox has exceeded maximum mailbox size. Cannot save changes made to an item."
    )
    return [_always(full, "full mailbox", 1.0, DELTA)]


def _slow(_void: Effect) -> list[Fault]:
    return [_always(Delayed(1.5), "very late answer", 0.05), _always(Delayed(0.3), "late answer", 0.5)]


def _lossy(_void: Effect) -> list[Fault]:
    return [
        _always(Reset(), "connection reset", 0.05),
        _always(Reset(serve=True), "reset after the work", 0.04),
        _always(Truncated(), "truncated body", 0.05),
        _always(Stalled(seconds=1.0, part=0.5), "stalled read", 0.04),
        _always(HtmlPage(502), "gateway's page", 0.05),
        _always(EmptyBody(200), "empty body", 0.04),
    ]


def _bad_tuesday(void: Effect) -> list[Fault]:
    return [
        Fault(EntraAnswer(90033), path=TOKEN, name="sign-in unavailable"),
        _always(void, "links void", 0.04, DELTA),
        _always(GraphAnswer(410, "SyncStateNotFound"), "410 SyncStateNotFound", 0.03, DELTA),
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


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            Profile("calm", "Everything works.", lambda _void: []),
            Profile("throttled", "429 and 503, with seconds to wait, a date, or nothing.", _throttled),
            Profile("bad-tuesday", "A little of everything, all the time.", _bad_tuesday),
            Profile("resets", "Delta links die, and folders must be listed again.", _resets),
            Profile("quota-full", "Every mailbox is full: change tracking is refused.", _quota_full, full=True),
            Profile("slow", "Answers come late, some very late.", _slow),
            Profile("lossy-network", "Resets, cut and stalled answers, a gateway's HTML page.", _lossy),
        )
    }
)
"""All profiles, by name; the calm one first."""
