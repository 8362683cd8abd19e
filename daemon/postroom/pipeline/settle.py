"""Decisions about finished attempts: pure, so that every rule of them is a table in a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from postroom.model import (
    Categorise,
    Delivery,
    DeliveryState,
    Done,
    MailAction,
    Outcome,
    Reject,
    Retry,
    RetryPolicy,
    Skip,
    Verdict,
)
from postroom.ports import ROUTING, ActionRequest, Siblings
from postroom.rule import Rule

JITTER = 0.2
"""Share by which a wait may be longer or shorter, so that failures do not come back in step."""

LONGEST_NOTE = 500
"""Characters of a handler's words that are kept: a note may quote a stranger."""

DONE = Done()
"""What comes of a handler that returns nothing."""

GRACE = 1.0
"""Seconds over its limit that an attempt may take without a word: the loop may be busy with others."""

PLAIN = Verdict(DeliveryState.DONE)
"""The verdict on what is done and has nothing more to say: most of them."""

Random = Callable[[], float]
"""A source of numbers in [0, 1)."""


def back_off(policy: RetryPolicy, attempt: int, random: Random) -> float:
    """Return the seconds to wait after the `attempt`-th failure: doubling, jittered, never above the policy's longest.

    At the limit the jitter still spreads: it is taken off, not added.
    """
    doublings = min(max(attempt, 1) - 1, 40)
    wait = min(policy.first * 2.0**doublings, policy.longest / (1 + JITTER))
    return wait * (1 + JITTER * (2 * random() - 1))


def decide(outcome: Outcome, delivery: Delivery, policy: RetryPolicy, now: datetime, random: Random) -> Verdict:
    """Turn an outcome into what is stored: done, ready again later, or a dead letter."""
    match outcome:
        case Done(note, actions):
            if not note and not actions:
                return PLAIN
            frozen = tuple([_frozen(action) for action in actions])
            return Verdict(DeliveryState.DONE, note=note[:LONGEST_NOTE], actions=frozen)
        case Skip(reason):
            return Verdict(DeliveryState.DONE, note=f"skipped: {reason}"[:LONGEST_NOTE])
        case Reject(reason):
            return Verdict(DeliveryState.DEAD, error=reason[:LONGEST_NOTE])
        case Retry(reason, after):
            if delivery.attempt >= policy.attempts + delivery.granted:
                last = f"attempt {delivery.attempt} was the last: {reason}"
                return Verdict(DeliveryState.DEAD, error=last[:LONGEST_NOTE])
            wait = back_off(policy, delivery.attempt - delivery.granted, random) if after is None else after
            due = now + timedelta(seconds=min(max(wait, 0.0), policy.longest))
            return Verdict(DeliveryState.READY, due_at=due, error=reason[:LONGEST_NOTE])
        case _:
            assert_never(outcome)


def _frozen(action: MailAction) -> MailAction:
    """Return an action the journal can hold: a plug-in may have put a list where a tuple belongs."""
    return Categorise(tuple(action.categories)) if isinstance(action, Categorise) else action


def cut_off(now: datetime, *, begun: bool = False) -> Verdict:
    """Return the verdict on an attempt ended by our own stop: being stopped is not a failure.

    One that has begun keeps its number all the same: the handler is to know that the next one is a repeat.
    """
    return Verdict(DeliveryState.READY, due_at=now, counted=False, forgiven=begun)


def forgive(outcome: Retry, due_at: datetime) -> Verdict:
    """Return the verdict on a failure of which the mail was not the cause: held until `due_at`, at no cost."""
    return Verdict(DeliveryState.READY, due_at=due_at, forgiven=True, error=outcome.reason[:LONGEST_NOTE])


def overrun(verdict: Verdict, seconds: float, limit: float) -> Verdict:
    """Note on what is done that it took longer than its limit, which only what stops the whole daemon can."""
    if seconds <= limit + GRACE or verdict.state is not DeliveryState.DONE:
        return verdict
    words = f"took {seconds:.0f} s, its limit is {limit:g} s, and nothing else ran meanwhile"
    return replace(verdict, note=f"{words}; {verdict.note}"[:LONGEST_NOTE] if verdict.note else words)


def conclude(siblings: Siblings, rules: Mapping[str, Rule]) -> list[ActionRequest]:
    """Return the `then` and `on_failure` actions that are due for a message whose deliveries stand as they do."""
    requests = []
    for name, handlers in siblings.rules.items():
        rule = rules.get(name)
        if rule is None or ROUTING in handlers:
            continue
        states = [siblings.states.get(handler) for handler in handlers]
        if DeliveryState.DEAD in states:
            requests += _request(siblings, f"rule {name} on_failure", rule.on_failure)
        elif states and all(state is DeliveryState.DONE for state in states):
            requests += _request(siblings, f"rule {name} then", rule.then)
    return requests


def _request(siblings: Siblings, origin: str, actions: Sequence[MailAction]) -> list[ActionRequest]:
    return [ActionRequest(siblings.message_id, origin, tuple(actions))] if actions else []
