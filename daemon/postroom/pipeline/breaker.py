"""Bad weather told from poison: a pure state machine for each handler.

One mail that fails again and again is poison: it uses its attempts up. Different mails that fail alike, with none done
in between, are the weather: what the handler needs does not work, and no mail shall pay for that with its attempts.

========  ============================================================  ============================================
state     what happens                                                  ends
========  ============================================================  ============================================
closed    deliveries run                                                when the weather is bad: open
open      deliveries are held, their attempts forgiven                  when the wait is over: probing
probing   one of them is tried                                          when it fails: open, for twice as long
any       a mail is done                                                closed
========  ============================================================  ============================================
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from postroom.model import BreakerPolicy

MIXED = 4
"""So many times as many mails have to fail when each fails in its own way."""

MEMORY = 200
"""Failures, and mails under suspicion, that are remembered for a handler: the latest."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that failed and may be repeated.

    Attributes:
        delivery: The journal's id of it.
        mail: What copies of one mail in several mailboxes have in common.
        kind: What failures of the same cause have in common: a reason without numbers, an exception and its place.
        reason: In full, as an operator may read it in the log.
        of_mailbox: Graph failed, which may be for this mailbox alone.
        after: Seconds that whoever refused it asked to be left alone.
    """

    delivery: int
    mail: str
    mailbox: str
    kind: str
    reason: str
    started_at: datetime
    of_mailbox: bool = False
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Hold:
    """A handler's deliveries are held.

    Attributes:
        since: When the first of the attempts began that failed.
        wait: Seconds from the last probe, or from the beginning, to the next.
        probe_at: When one may be tried again (monotonic seconds).
        probe: The delivery that is being tried.
    """

    since: datetime
    reason: str
    wait: float
    probe_at: float
    probe: int | None = None


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is known of a handler: closed without a `hold`, open with one, probing while a probe runs.

    Attributes:
        failures: Those since a mail was last done.
        accused: Deliveries that failed in an outage which the success of another one ended. Now the mail itself may be
            the cause: their attempts count, and they open nothing, until one of them is done. That shows the weather to
            have been the cause, and to be bad still, or again.
    """

    policy: BreakerPolicy
    failures: tuple[Failure, ...] = ()
    accused: frozenset[int] = frozenset()
    hold: Hold | None = None

    @property
    def is_calm(self) -> bool:
        """Whether there is nothing to remember."""
        return self.hold is None and not self.failures and not self.accused

    def forgives(self, delivery: int) -> bool:
        """Say whether a failure of this delivery does not count against it."""
        return self.hold is not None and delivery not in self.accused

    def may_probe(self, at: float) -> bool:
        """Say whether one of the deliveries that are held may be tried now."""
        return self.hold is not None and self.hold.probe is None and at >= self.hold.probe_at


def failed(breaker: Breaker, failure: Failure, at: float, mailboxes: int) -> Breaker:
    """Return what a failed attempt makes of it, with so many mailboxes watched."""
    if breaker.hold is not None:
        hold = _probed(breaker.hold, failure, breaker.policy, at)
        return replace(breaker, failures=_remember(breaker.failures, failure), hold=hold)
    if failure.delivery in breaker.accused:
        return breaker
    failures = _remember(breaker.failures, failure)
    if not is_outage(failures, breaker.policy.after, mailboxes):
        return replace(breaker, failures=failures)
    since, wait = min(each.started_at for each in failures), breaker.policy.probe
    hold = Hold(since, failure.reason, wait, at + _at_least(wait, failure.after, breaker.policy))
    return replace(breaker, failures=failures, hold=hold)


def done(breaker: Breaker, delivery: int) -> Breaker:
    """Return what a mail that was done makes of it: closed, whoever it was.

    Who failed meanwhile is under suspicion. When one of these is done after all, none is any more.
    """
    if delivery in breaker.accused:
        return Breaker(breaker.policy)
    accused = breaker.accused
    if breaker.hold is not None:
        accused = frozenset([*accused, *(each.delivery for each in breaker.failures)][-MEMORY:])
    return Breaker(breaker.policy, accused=accused - {delivery})


def ended(breaker: Breaker, delivery: int) -> Breaker:
    """Return what is left when a delivery has ended in a way that says nothing of the weather."""
    return replace(breaker, accused=breaker.accused - {delivery})


def probing(breaker: Breaker, delivery: int) -> Breaker:
    """Return it with this delivery as its probe."""
    assert breaker.hold is not None, "only what is held is probed"
    return replace(breaker, hold=replace(breaker.hold, probe=delivery))


def unsettled(breaker: Breaker, delivery: int, at: float, *, at_once: bool) -> Breaker:
    """Return it after an attempt that says nothing of the weather; was it the probe, another one is due (`at_once`)."""
    hold = breaker.hold
    if hold is None or hold.probe != delivery:
        return breaker
    return replace(breaker, hold=replace(hold, probe=None, probe_at=at if at_once else at + hold.wait))


def restored(policy: BreakerPolicy, since: datetime, reason: str, at: float) -> Breaker:
    """Return one that was open when the daemon ended: it probes at once, for a restart may be what mended it."""
    return Breaker(policy, hold=Hold(since, reason, policy.probe, at))


def to_give_back(breaker: Breaker, but: int) -> Mapping[int, int]:
    """Return delivery -> attempts that were counted until it opened, `but` the one whose verdict is still to come."""
    attempts = Counter(each.delivery for each in breaker.failures)
    attempts[but] -= 1
    return +attempts


def is_outage(failures: Iterable[Failure], after: int, mailboxes: int) -> bool:
    """Say whether these failures, with nothing done in between, are the weather.

    A failure of Graph may be that of one mailbox: such failures say something of all only where they are of two.
    """
    failures = tuple(failures)
    stormy = {each.mailbox for each in failures if each.of_mailbox}
    believed = [each for each in failures if not each.of_mailbox or len(stormy) >= min(2, mailboxes)]
    alike: dict[str, set[str]] = defaultdict(set)
    for each in believed:
        alike[each.kind].add(each.mail)
    return any(len(mails) >= after for mails in alike.values()) or (
        len({each.mail for each in believed}) >= MIXED * after
    )


def _remember(failures: tuple[Failure, ...], failure: Failure) -> tuple[Failure, ...]:
    return (*failures, failure)[-MEMORY:]


def _probed(hold: Hold, failure: Failure, policy: BreakerPolicy, at: float) -> Hold:
    """Return the hold after a failure: longer if it was the probe's, as it was if it had begun before."""
    if failure.delivery != hold.probe:
        return hold
    wait = min(hold.wait * 2, policy.longest)
    return replace(
        hold, reason=failure.reason, wait=wait, probe_at=at + _at_least(wait, failure.after, policy), probe=None
    )


def _at_least(wait: float, after: float, policy: BreakerPolicy) -> float:
    """Leave the target alone as long as it asks, within the policy."""
    return max(wait, min(after, policy.longest))
