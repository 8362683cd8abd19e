"""A breaker opens for the weather and not for poison, forgives, probes singly, and closes when a mail is done."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.model import BreakerPolicy
from postroom.pipeline import breaker as machine
from postroom.pipeline.breaker import MEMORY, Breaker, Failure
from postroom.testing.clock import START

POLICY = BreakerPolicy(after=5, probe=30.0, longest=600.0)


def failure(delivery, *, mail=None, kind="down", mailbox="a@contoso.example", minutes=0.0, **fields):
    at = START + timedelta(minutes=minutes)
    return Failure(delivery, mail or f"mail {delivery}", mailbox, kind, f"{kind}, again", at, **fields)


def after(failures, breaker=None, at=0.0, mailboxes=1):
    """Return the breaker after these failures."""
    breaker = breaker or Breaker(POLICY)
    for each in failures:
        breaker = machine.failed(breaker, each, at, mailboxes)
    return breaker


def opened(at=0.0):
    return after((failure(number) for number in range(1, 6)), at=at)


def test_it_opens_when_as_many_different_mails_as_the_policy_says_fail_alike():
    assert after(failure(number) for number in range(1, 5)).hold is None
    assert opened().hold is not None


def test_one_mail_that_fails_a_hundred_times_never_opens_it():
    assert after(failure(1) for _ in range(100)).hold is None


def test_copies_of_one_mail_in_many_mailboxes_are_one_mail():
    copies = (failure(number, mail="<1@x>", mailbox=f"{number}@contoso.example") for number in range(100))
    assert after(copies, mailboxes=100).hold is None


def test_a_mail_that_is_done_in_between_says_that_the_weather_is_good():
    breaker = after(failure(number) for number in range(1, 5))
    breaker = machine.done(breaker, 99)
    assert after((failure(number) for number in range(5, 9)), breaker).hold is None
    assert machine.done(Breaker(POLICY), 1).is_calm


def test_failures_of_other_kinds_in_between_do_not_hide_those_that_are_alike():
    mixed = [failure(number, kind="refused" if number % 2 else "503") for number in range(1, 10)]
    assert after(mixed[:8]).hold is None
    assert after(mixed).hold is not None


def test_mails_that_fail_each_in_its_own_way_open_it_when_there_are_many():
    own = [failure(number, kind=f"kind {number}") for number in range(1, 21)]
    assert after(own[:19]).hold is None
    assert after(own).hold is not None


def test_graph_failing_for_one_mailbox_of_several_holds_nobody():
    ours = [failure(number, of_mailbox=True) for number in range(1, 50)]
    assert after(ours, mailboxes=2).hold is None
    assert after(ours[:5], mailboxes=1).hold is not None
    assert after([*ours[:4], failure(5, mailbox="b@contoso.example", of_mailbox=True)], mailboxes=2).hold is not None


def test_while_it_is_open_it_waits_and_then_lets_one_be_tried():
    breaker = opened(at=100.0)
    assert not breaker.may_probe(129.9)
    assert breaker.may_probe(130.0)
    assert not machine.probing(breaker, 7).may_probe(1e6)


def test_the_wait_doubles_with_each_probe_that_fails_up_to_the_longest():
    breaker, at, waits = opened(), 0.0, []
    for number in range(7):
        at = breaker.hold.probe_at
        breaker = machine.failed(machine.probing(breaker, number), failure(number), at, 1)
        waits.append(breaker.hold.probe_at - at)
    assert waits == [60.0, 120.0, 240.0, 480.0, 600.0, 600.0, 600.0]


def test_what_ran_already_when_it_opened_is_forgiven_and_makes_no_wait_longer():
    breaker = opened()
    late = machine.failed(breaker, failure(9), 10.0, 1)
    assert late.hold == breaker.hold
    assert late.forgives(9)


def test_a_target_that_asks_for_a_longer_rest_gets_it_within_the_policy():
    assert after(failure(number, after=200.0) for number in range(5)).hold.probe_at == 200.0
    assert after(failure(number, after=86_400.0) for number in range(5)).hold.probe_at == 600.0


def test_the_attempts_that_were_counted_until_it_opened_are_given_back_but_for_the_one_still_to_be_settled():
    breaker = after([failure(1), failure(1), *(failure(number) for number in range(2, 6))])
    assert machine.to_give_back(breaker, but=5) == {1: 2, 2: 1, 3: 1, 4: 1}


def test_it_remembers_when_the_outage_began():
    breaker = after(failure(number, minutes=10 - number) for number in range(1, 6))
    assert breaker.hold.since == START + timedelta(minutes=5)


@pytest.mark.parametrize("delivery", [3, 77])
def test_any_mail_that_is_done_closes_it_whether_it_was_the_probe_or_not(delivery):
    assert machine.done(machine.probing(opened(), 3), delivery).hold is None


def test_who_failed_until_another_one_was_done_may_be_poison_and_opens_nothing_any_more():
    closed = machine.done(opened(), 99)
    again = after((failure(number) for number in range(1, 6)), closed)
    assert again.hold is None
    assert after((failure(number) for number in range(11, 16)), closed).hold is not None


def test_under_suspicion_attempts_count_even_when_the_weather_is_bad():
    reopened = after((failure(number) for number in range(11, 16)), machine.done(opened(), 99))
    assert not reopened.forgives(1)
    assert reopened.forgives(11)


def test_suspicion_ends_when_the_mail_has_ended():
    closed = machine.done(opened(), 99)
    assert machine.done(closed, 98).accused == {1, 2, 3, 4, 5}
    assert machine.ended(closed, 2).accused == {1, 3, 4, 5}


def test_one_of_those_under_suspicion_that_is_done_clears_them_all_for_it_was_the_weather():
    closed = machine.done(opened(), 99)
    assert machine.done(closed, 1).is_calm
    reopened = after((failure(number) for number in range(11, 16)), closed)
    assert machine.done(reopened, 1).is_calm


def test_a_probe_that_says_nothing_is_followed_by_another_at_once_or_after_the_same_wait():
    breaker = machine.probing(opened(), 7)
    assert machine.unsettled(breaker, 7, 50.0, at_once=True).may_probe(50.0)
    assert machine.unsettled(breaker, 7, 50.0, at_once=False).hold.probe_at == 80.0
    assert machine.unsettled(breaker, 8, 50.0, at_once=True) == breaker


def test_after_a_restart_it_is_open_and_probes_at_once():
    breaker = machine.restored(POLICY, START, "down", 1000.0)
    assert breaker.may_probe(1000.0)
    assert breaker.forgives(1)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["failed", "done", "skipped", "cut off"]), st.integers(1, 12), st.sampled_from(["x", "y"])
    ),
    max_size=400,
)


@given(STEPS)
def test_whatever_happens_it_holds_only_with_enough_failures_and_one_probe_at_a_time(steps):
    breaker, at = Breaker(POLICY), 0.0
    for what, delivery, kind in steps:
        at += 7.0
        before = breaker
        if breaker.may_probe(at):
            breaker = machine.probing(breaker, delivery)
        if what == "failed":
            breaker = machine.failed(breaker, failure(delivery, kind=kind), at, 1)
        elif what == "done":
            breaker = machine.done(breaker, delivery)
            assert breaker.hold is None
        else:
            breaker = machine.unsettled(breaker, delivery, at, at_once=what == "skipped")
        if before.hold is None and breaker.hold is not None:
            assert machine.is_outage(breaker.failures, POLICY.after, 1)
        if breaker.hold is not None:
            assert POLICY.probe <= breaker.hold.wait <= POLICY.longest
            assert breaker.hold.probe_at <= at + POLICY.longest
        assert len(breaker.failures) <= MEMORY
        assert len(breaker.accused) <= MEMORY


def test_calm_is_when_there_is_nothing_to_remember():
    assert Breaker(POLICY).is_calm
    assert not opened().is_calm
    assert not replace(Breaker(POLICY), accused=frozenset({1})).is_calm
