"""What is stored of an outcome, and which mail actions follow."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.model import DeliveryState, Done, MarkRead, MoveTo, Reject, Retry, RetryPolicy, Skip, Verdict
from postroom.pipeline.settle import LONGEST_NOTE, back_off, conclude, cut_off, decide, overrun
from postroom.ports import ROUTING, UNDATED, ActionRequest, Siblings
from postroom.rule import AllOf, Rule
from postroom.testing.clock import START
from support.pipeline import delivery

POLICY = RetryPolicy(attempts=3, first=10.0, longest=60.0)
DONE, DEAD, READY, DISCARDED = (
    DeliveryState.DONE,
    DeliveryState.DEAD,
    DeliveryState.READY,
    DeliveryState.DISCARDED,
)
MOVE = MoveTo("Processed")


def middle() -> float:
    return 0.5


def after(seconds: float):
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("outcome", "attempt", "verdict"),
    [
        (Done(), 1, Verdict(DONE)),
        (Done("2 saved", (MOVE,)), 1, Verdict(DONE, note="2 saved", actions=(MOVE,))),
        (Done(actions=[MOVE]), 1, Verdict(DONE, actions=(MOVE,))),
        (Skip("no invoice"), 3, Verdict(DONE, note="skipped: no invoice")),
        (Reject("malformed"), 1, Verdict(DEAD, error="malformed")),
        (Retry("busy"), 1, Verdict(READY, due_at=after(10), error="busy")),
        (Retry("busy"), 2, Verdict(READY, due_at=after(20), error="busy")),
        (Retry("busy", after=5.0), 1, Verdict(READY, due_at=after(5), error="busy")),
        (Retry("busy", after=0), 1, Verdict(READY, due_at=after(0), error="busy")),
        (Retry("busy", after=-3.0), 1, Verdict(READY, due_at=after(0), error="busy")),
        (Retry("busy", after=1e9), 1, Verdict(READY, due_at=after(60), error="busy")),
        (Retry("busy"), 3, Verdict(DEAD, error="attempt 3 was the last: busy")),
        (Retry("busy", after=1.0), 4, Verdict(DEAD, error="attempt 4 was the last: busy")),
    ],
)
def test_an_outcome_becomes_a_verdict(outcome, attempt, verdict):
    assert decide(outcome, delivery(attempt), POLICY, START, middle) == verdict


def test_an_operators_retry_grants_the_whole_policy_again():
    granted = delivery(attempt=4, granted=3)

    assert decide(Retry("busy"), granted, POLICY, START, middle).due_at == after(10)
    assert decide(Retry("busy"), delivery(attempt=6, granted=3), POLICY, START, middle).state is DEAD


@given(st.sampled_from([Done, Skip, Reject, Retry]), st.text(max_size=3000), st.integers(1, 4))
def test_a_handlers_words_are_bounded_for_they_may_quote_a_stranger(kind, words, attempt):
    verdict = decide(kind(words), delivery(attempt), POLICY, START, middle)

    assert len(verdict.note) <= LONGEST_NOTE
    assert len(verdict.error) <= LONGEST_NOTE


def test_being_stopped_is_not_a_failure():
    assert cut_off(START) == Verdict(READY, due_at=START, counted=False)
    assert cut_off(START, begun=True) == Verdict(READY, due_at=START, counted=False, forgiven=True)


@pytest.mark.parametrize(
    ("verdict", "seconds", "note"),
    [
        (Verdict(DeliveryState.DONE), 90.4, "took 90 s, its limit is 3 s, and nothing else ran meanwhile"),
        (Verdict(DeliveryState.DONE, note="b"), 5, "took 5 s, its limit is 3 s, and nothing else ran meanwhile; b"),
        (Verdict(DeliveryState.DONE, note="b"), 3.9, "b"),
        (Verdict(DeliveryState.DEAD, note="b"), 90, "b"),
    ],
)
def test_what_took_longer_than_it_might_is_noted_so(verdict, seconds, note):
    assert overrun(verdict, seconds, 3.0).note == note


policies = st.builds(
    RetryPolicy, st.integers(1, 50), st.floats(0, 1e5, allow_subnormal=False), st.floats(0, 1e6, allow_subnormal=False)
)
randoms = st.floats(0, 1, exclude_max=True)


@given(policies, st.integers(-3, 10_000), randoms)
def test_a_wait_is_never_negative_nor_longer_than_the_policys_longest(policy, attempt, random):
    assert 0.0 <= back_off(policy, attempt, lambda: random) <= policy.longest * (1 + 1e-9)


@given(policies, st.integers(1, 100))
def test_waits_do_not_get_shorter(policy, attempt):
    assert back_off(policy, attempt, middle) <= back_off(policy, attempt + 1, middle)


@given(st.integers(1, 30))
def test_waits_double_until_they_reach_the_limit(attempt):
    wait = back_off(RetryPolicy(99, 1.0, 1e12), attempt, middle)

    assert wait == 2.0 ** (attempt - 1)


def test_failures_do_not_come_back_in_step_even_at_the_limit():
    early, late = (back_off(POLICY, 50, random) for random in (lambda: 0.1, lambda: 0.9))

    assert early < late <= POLICY.longest


def siblings(**states):
    return Siblings(7, "a@b", "Inbox", {"one": ("erp", "archive"), "two": ("log",)}, states)


RULES = {
    "one": Rule("one", AllOf(()), ("erp", "archive"), then=(MOVE,), on_failure=(MarkRead(False),)),
    "two": Rule("two", AllOf(()), ("log",), then=(MarkRead(),)),
}
THEN = ActionRequest(7, "rule one then", (MOVE,))
FAILED = ActionRequest(7, "rule one on_failure", (MarkRead(False),))
THEN_TWO = ActionRequest(7, "rule two then", (MarkRead(),))


@pytest.mark.parametrize(
    ("states", "requests"),
    [
        ({"erp": DONE, "archive": READY, "log": READY}, []),
        ({"erp": DONE, "archive": DeliveryState.RUNNING, "log": READY}, []),
        ({"erp": DONE, "archive": DONE, "log": READY}, [THEN]),
        ({"erp": DONE, "archive": DONE, "log": DONE}, [THEN, THEN_TWO]),
        ({"erp": DEAD, "archive": READY, "log": READY}, [FAILED]),
        ({"erp": DEAD, "archive": DONE, "log": DONE}, [FAILED, THEN_TWO]),
        ({"erp": DISCARDED, "archive": DONE, "log": READY}, []),
        ({"erp": DONE, "log": READY}, []),
        ({"erp": DONE, "archive": DONE, "log": DEAD}, [THEN]),
    ],
)
def test_then_follows_when_all_are_done_and_on_failure_when_one_is_dead(states, requests):
    assert conclude(siblings(**states), RULES) == requests


def test_a_rule_that_is_not_configured_any_more_has_no_effect():
    assert conclude(siblings(erp=DONE, archive=DONE, log=DONE), {"two": RULES["two"]}) == [THEN_TWO]


def test_a_rule_that_is_called_as_what_stands_for_the_rules_of_an_unread_mail_asks_for_nothing_until_it_is_read():
    rule = Rule(UNDATED.name, AllOf(()), ("erp",), then=(MarkRead(),))
    unread = Siblings(7, "a@b", "Inbox", {UNDATED.name: UNDATED.handlers}, {ROUTING: DONE})

    assert conclude(unread, {rule.name: rule}) == []


def test_a_rule_without_handlers_had_its_actions_when_it_matched():
    rule = Rule("mark", AllOf(()), then=(MarkRead(),))

    assert conclude(Siblings(7, "a@b", "Inbox", {"mark": ()}, {}), {"mark": rule}) == []
