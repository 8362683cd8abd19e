"""The judge of `make crash`: what it must not let pass."""

from __future__ import annotations

import pytest

from crash.plan import POWER, RANDOM, plan
from crash.table import Result, Row, summary, verdict
from crash.truth import Run, Sent, compare
from postroom.failpoints import POINTS

MAIL = Sent(3, "m", ("box/m/ledger",), then="")
(KEY,) = MAIL.keys


def judged(*runs, state="done", mail=MAIL, concluded=(), cuts=()):
    return compare([mail], runs, {KEY: state}, concluded=dict(concluded), gone=(), cuts=cuts)


def test_one_run_of_each_delivery_is_as_it_should_be():
    found = judged(Run(3, 1, "done", KEY))
    assert (found.deliveries, +found.lost, +found.repeats, found.faults) == (1, {}, {}, [])


@pytest.mark.parametrize(("runs", "state"), [((), "done"), ((), "ready"), ([Run(3, 1, "done", KEY)], "running")])
def test_a_delivery_without_a_run_or_not_settled_is_lost_and_charged_to_the_life_in_which_it_came(runs, state):
    assert judged(*runs, state=state).lost == {3: 1}


def test_a_repeat_is_charged_to_the_life_that_ended_before_it_was_settled():
    found = judged(Run(3, 1, "done", KEY), Run(5, 2, "done", KEY))
    assert (found.repeats, found.faults) == ({3: 1}, [])


def test_a_run_that_the_handler_asked_for_is_no_repeat():
    assert not judged(Run(3, 1, "retry", KEY), Run(3, 2, "done", KEY)).repeats


@pytest.mark.parametrize("later", [Run(4, 1, "done", KEY), Run(3, 2, "done", KEY)])
def test_a_repeat_without_a_higher_attempt_or_within_one_life_is_a_fault(later):
    assert judged(Run(3, 1, "done", KEY), later).faults


def test_a_power_cut_may_take_the_attempt_and_is_charged_with_the_repeat():
    found = judged(Run(3, 1, "done", KEY), Run(6, 1, "done", KEY), cuts=[5])
    assert (found.repeats, found.forgotten, found.faults) == ({5: 1}, 1, [])


@pytest.mark.parametrize(("answer", "lost"), [("done", {}), ("retry", {3: 1})])
def test_a_power_cut_may_take_a_delivery_that_was_done_and_none_that_was_not(answer, lost):
    assert +judged(Run(3, 1, answer, KEY), state="", cuts=[3]).lost == lost


@pytest.mark.parametrize(("later", "faults"), [("again", 0), ("first", 1)])
def test_an_effect_that_is_made_twice_is_a_fault_also_after_a_power_cut(later, faults):
    assert len(judged(Run(3, 1, "first", KEY), Run(6, 1, later, KEY), cuts=[5]).faults) == faults


def test_a_run_of_what_nobody_sent_is_a_fault():
    assert judged(Run(3, 1, "done", KEY), Run(3, 1, "done", "box/other/ledger")).faults


@pytest.mark.parametrize(("count", "undone", "faults"), [(0, 1, 0), (1, 0, 0), (2, 0, 1)])
@pytest.mark.parametrize("cuts", [(), (3,)], ids=["after a kill", "after a power cut"])
def test_a_mail_that_a_rule_sends_goes_out_once(count, undone, faults, cuts):
    mail = Sent(3, "m", (KEY,), then="the subject")
    found = judged(Run(3, 1, "done", KEY), mail=mail, concluded={"the subject": count}, cuts=cuts)
    assert (found.undone.total(), len(found.faults)) == (undone, faults)


@pytest.mark.parametrize(
    ("row", "kills", "deliveries", "word"),
    [
        (Row(kills=300, lost=1), 200, 20_000, "lost"),
        (Row(kills=300, repeats=1_001), 200, 20_000, "more than 5%"),
        (Row(kills=199), 200, 20_000, "too short"),
        (Row(kills=300), 200, 20_001, "too short"),
        (Row(kills=0), 0, 0, "nothing ended at page.written"),
    ],
)
def test_a_run_that_shows_less_than_was_promised_fails_and_says_why(row, kills, deliveries, word):
    (wrong,) = verdict(Result({"page.written": row}, deliveries=20_000), kills, deliveries)
    assert word in wrong


def test_what_a_power_cut_repeats_is_told_apart_from_what_kills_do():
    rows = {"page.written": Row(kills=300, repeats=900), POWER: Row(kills=8, repeats=2_000)}
    result = Result(rows, deliveries=20_000)
    assert verdict(result, 200, 20_000) == []
    assert "900 repeats (4.5%)" in summary(result)


def test_a_plan_has_each_point_and_as_many_kills_as_were_asked_for():
    first, lives = plan(tuple(POINTS), 220, 7)
    assert len(first) + len(lives) == 220
    assert {each.row for each in [*first, *lives]} == {*POINTS, RANDOM, POWER}
