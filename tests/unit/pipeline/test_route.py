"""Which rules apply to a mail, in which order, and until when."""

from __future__ import annotations

from datetime import timedelta

from postroom.model import Details, MarkRead, MoveTo
from postroom.pipeline.route import Finding, as_matched, route
from postroom.ports import MatchedRule
from postroom.rule import AllOf, HeaderIs, Not, Pattern, Rule, SizeIs, TextIs
from postroom.testing import make_message
from postroom.testing.clock import START

YES = AllOf(())
NO = Not(YES)
OPEN = HeaderIs("x-kind", (Pattern.parse("a"),))
NOW = START + timedelta(minutes=1)
WITH_A = Details(headers=(("X-Kind", "a"),))
WITH_B = Details(headers=(("X-Kind", "b"),))


def names(rules):
    return [rule.name for rule in rules]


def test_every_matching_rule_applies_in_its_order():
    routing = route(make_message(), [Rule("a", YES), Rule("b", NO), Rule("c", YES)], NOW)

    assert names(routing.matched) == ["a", "c"]
    assert not routing.missing
    assert not routing.undecided


def test_no_rule_is_looked_at_after_one_that_stops():
    routing = route(make_message(), [Rule("a", YES, stop=True), Rule("b", YES), Rule("c", OPEN)], NOW)

    assert names(routing.matched) == ["a"]
    assert not routing.missing


def test_a_rule_that_stops_but_does_not_match_stops_nothing():
    routing = route(make_message(), [Rule("a", NO, stop=True), Rule("b", YES)], NOW)

    assert names(routing.matched) == ["b"]


def test_an_undecided_rule_is_set_apart_and_says_what_it_needs():
    rules = [Rule("a", OPEN), Rule("b", SizeIs(least=1)), Rule("c", YES)]

    routing = route(make_message(), rules, NOW)

    assert names(routing.undecided) == ["a", "b"]
    assert routing.missing == {"headers", "size"}


def test_details_decide_whether_an_earlier_stop_holds():
    rules = [Rule("a", OPEN, stop=True), Rule("b", YES, stop=True)]

    assert route(make_message(), rules, NOW).missing == {"headers"}
    assert names(route(make_message(), rules, NOW, WITH_A).matched) == ["a"]
    assert names(route(make_message(), rules, NOW, WITH_B).matched) == ["b"]


def test_the_findings_name_every_rule_with_its_reasons():
    rules = [
        Rule("a", TextIs("subject", (Pattern.parse("Quote*"),))),
        Rule("b", OPEN),
        Rule("c", TextIs("subject", (Pattern.parse("Inv*"),)), stop=True),
        Rule("d", YES),
    ]

    findings = route(make_message(subject="Invoice"), rules, NOW).findings

    assert findings == (
        Finding("a", False, ("subject is 'Invoice', wanted 'Quote*'",)),
        Finding("b", None, ("header x-kind needs the mail's headers, not read so far",)),
        Finding("c", True, ("subject 'Invoice' fits 'Inv*'",)),
        Finding("d", None, ("not looked at: rule 'c' stops",)),
    )


def test_a_rule_with_handlers_leaves_its_actions_for_when_they_are_done():
    then = (MoveTo("Done"),)
    with_handler = Rule("a", YES, handle=("erp",), then=then)
    without = Rule("b", YES, then=(MarkRead(),))

    assert as_matched([with_handler, without]) == (
        MatchedRule("a", ("erp",), ()),
        MatchedRule("b", (), (MarkRead(),)),
    )
