"""Why a rule matched: what cannot be decided offline is told as it was when the mail came."""

from __future__ import annotations

from datetime import UTC, datetime

from postroom.cli.explain import _answer, _called, explained
from postroom.model import Message
from postroom.rule import AllOf, Pattern, Rule, TextIs

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MAIL = Message(id="1", mailbox="a@b.example", folder="Inbox", received_at=AT, subject="Hello", has_attachments=True)
PDF = Rule("pdf", TextIs("attachment", (Pattern.parse("*.pdf"),)), stop=True)
REST = Rule("rest", AllOf(()))
HELLO = Rule("hello", TextIs("subject", (Pattern.parse("hello"),)), stop=True)


def answers(rules, then):
    return {each.rule: _answer(each) for each in explained(MAIL, rules, then, AT)}


def test_a_rule_whose_details_are_not_kept_is_told_as_it_was_and_stops_as_it_did():
    told = answers((PDF, REST), {"pdf"})
    assert told["pdf"].startswith("matched when the mail came")
    assert told["rest"] == "not looked at"


def test_a_rule_that_did_not_match_then_lets_the_next_be_looked_at():
    told = answers((PDF, REST), {"rest"})
    assert told["pdf"].startswith("did not match when the mail came")
    assert told["rest"] == "matches  (matched when the mail came)"


def test_a_rule_that_matches_now_stops_whatever_was_then():
    assert answers((HELLO, REST), {"rest"}) == {
        "hello": "matches  (did not match when the mail came)",
        "rest": "not looked at  (matched when the mail came)",
    }


def test_a_rule_without_a_name_is_told_with_its_place():
    nameless = Rule("unnamed-1f3a9c02", AllOf(()))
    found = explained(MAIL, (REST, nameless, nameless), (), AT)
    assert [_called(each) for each in found] == ["rest", "unnamed-1f3a9c02 (rule 2)", "unnamed-1f3a9c02 (rule 3)"]
