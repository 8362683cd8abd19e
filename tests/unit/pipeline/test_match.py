"""What a condition says of a mail, and what it needs to say it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.model import Address, Details
from postroom.pipeline.match import NO_DETAILS, Facts, holds, needs
from postroom.pipeline.reasons import SHOWN, why
from postroom.rule import (
    AgeIs,
    AllOf,
    AnyOf,
    Condition,
    HasAttachments,
    HeaderIs,
    Not,
    Pattern,
    SizeIs,
    TextIs,
)
from postroom.testing import make_message
from postroom.testing.clock import START

NOW = START + timedelta(hours=1)


def text(field, *sources):
    return TextIs(field, tuple(Pattern.parse(source) for source in sources))


def header(name, *sources):
    return HeaderIs(name, tuple(Pattern.parse(source) for source in sources))


def facts(details=NO_DETAILS, **fields):
    return Facts(make_message(**fields), NOW, details)


@pytest.mark.parametrize(
    ("condition", "fields"),
    [
        (text("from", "*@supplier.example"), {"sender": Address("", "ada@SUPPLIER.example")}),
        (text("to", "me@*"), {"to": (Address("", "you@b.c"), Address("", "me@b.c"))}),
        (text("to", "me@*"), {"to": (), "cc": (Address("", "me@b.c"),)}),
        (text("subject", "nothing", "/inv.ice/"), {"subject": "Your INVOICE"}),
        (text("importance", "high"), {"importance": "high"}),
        (text("category", "red"), {"categories": ("blue", "Red")}),
        (HasAttachments(True), {"has_attachments": True}),
        (HasAttachments(False), {"has_attachments": False}),
        (SizeIs(least=10, most=20), {"size": 10}),
        (SizeIs(least=10, most=20), {"size": 20}),
        (AgeIs(least=3600.0, most=3600.0), {"received_at": START}),
        (AllOf(()), {}),
        (Not(AnyOf(())), {}),
    ],
)
def test_a_condition_holds_for_a_mail_that_is_as_it_says(condition, fields):
    assert holds(condition, facts(**fields)) is True
    assert holds(Not(condition), facts(**fields)) is False


@pytest.mark.parametrize(
    ("condition", "fields"),
    [
        (text("from", "*@supplier.example"), {"sender": Address("", "ada@supplier.example.evil")}),
        (text("to", "me@*"), {"to": (Address("me@b.c", "you@b.c"),)}),
        (text("category", "*"), {"categories": ()}),
        (text("attachment", "*"), {"has_attachments": False}),
        (SizeIs(least=11), {"size": 10}),
        (SizeIs(most=9), {"size": 10}),
        (AgeIs(most=3599.0), {"received_at": START}),
        (AgeIs(least=3601.0), {"received_at": START}),
    ],
)
def test_a_condition_does_not_hold_for_another_mail(condition, fields):
    assert holds(condition, facts(**fields)) is False


def test_the_name_beside_the_address_is_not_looked_at_for_the_sender_chooses_it():
    forged = Address("ada@supplier.example", "mallory@evil.example")

    assert holds(text("from", "*@supplier.example"), facts(sender=forged)) is False


def test_header_names_have_no_case_and_any_value_may_fit():
    details = Details(headers=(("X-Kind", "a"), ("x-kind", "b"), ("other", "c")))

    assert holds(header("X-KIND", "b"), facts(details)) is True
    assert holds(header("x-kind", "c"), facts(details)) is False
    assert holds(header("missing", "*"), facts(details)) is False


@pytest.mark.parametrize(
    ("condition", "need"),
    [(header("a", "*"), "headers"), (text("attachment", "*"), "attachments"), (SizeIs(least=1), "size")],
)
def test_what_a_page_does_not_tell_leaves_the_answer_open_and_is_named(condition, need):
    mail = facts(has_attachments=True, size=None)

    assert holds(condition, mail) is None
    assert holds(Not(condition), mail) is None
    assert needs(condition, mail) == {need}


def test_nothing_is_read_for_a_condition_that_is_decided_without_it():
    open_one = header("a", "*")
    no, yes = text("subject", "no"), text("subject", "*")

    for decided in (AllOf((open_one, no)), AllOf((no, open_one)), AnyOf((open_one, yes)), Not(AnyOf((open_one, yes)))):
        assert holds(decided, facts()) is not None
        assert needs(decided, facts()) == frozenset()


def test_only_the_parts_that_are_open_say_what_they_need():
    condition = AllOf((AnyOf((header("a", "*"), text("subject", "*"))), SizeIs(least=1)))

    assert needs(condition, facts(size=None)) == {"size"}


patterns = st.sampled_from(["*", "a*", "/b/", "nothing"]).map(Pattern.parse)
pattern_lists = st.lists(patterns, min_size=1, max_size=2).map(tuple)
leaves = st.one_of(
    st.builds(
        TextIs, st.sampled_from(["from", "to", "subject", "attachment", "importance", "category"]), pattern_lists
    ),
    st.builds(HeaderIs, st.sampled_from(["x", "Y"]), pattern_lists),
    st.builds(HasAttachments, st.booleans()),
    st.builds(SizeIs, st.none() | st.integers(0, 9), st.none() | st.integers(0, 9)),
    st.builds(AgeIs, st.none() | st.floats(0, 9000), st.none() | st.floats(0, 9000)),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple).map(AllOf),
        st.lists(inner, max_size=3).map(tuple).map(AnyOf),
        inner.map(Not),
    ),
    max_leaves=12,
)
words = st.sampled_from(["", "a", "ab", "b", "B", "nothing"])
mails = st.fixed_dictionaries(
    {
        "subject": words,
        "importance": words,
        "categories": st.lists(words, max_size=2).map(tuple),
        "sender": st.builds(Address, words, words),
        "has_attachments": st.booleans(),
        "size": st.none() | st.integers(0, 9),
    }
)
all_details = st.builds(
    Details,
    st.lists(st.tuples(st.sampled_from(["X", "y"]), words), max_size=2).map(tuple),
    st.lists(words, max_size=2).map(tuple),
    st.integers(0, 9),
)


def plain(condition: Condition, facts: Facts) -> bool:
    """Evaluate with the two values of ordinary logic, for facts that are complete."""
    match condition:
        case AllOf(inner):
            return all(plain(each, facts) for each in inner)
        case AnyOf(inner):
            return any(plain(each, facts) for each in inner)
        case Not(inner):
            return not plain(inner, facts)
        case _:
            answer = holds(condition, facts)
            assert answer is not None
            return answer


@given(conditions, mails, all_details)
def test_with_all_details_the_answer_is_that_of_ordinary_logic(condition, fields, details):
    complete = facts(details, **fields)

    assert holds(condition, complete) is plain(condition, complete)
    assert needs(condition, complete) == frozenset()


@given(conditions, mails, all_details)
def test_a_decided_answer_does_not_change_when_details_arrive(condition, fields, details):
    message = make_message(**fields)
    before = holds(condition, Facts(message, NOW))
    after = holds(condition, Facts(message, NOW, details))

    assert before is None or before is after


@given(conditions, mails, all_details)
def test_the_details_that_are_needed_are_enough(condition, fields, details):
    message = make_message(**fields)
    needed = needs(condition, Facts(message, NOW))
    only_those = Details(
        details.headers if "headers" in needed else None,
        details.attachments if "attachments" in needed else None,
        details.size if "size" in needed else None,
    )

    assert (holds(condition, Facts(message, NOW)) is None) is bool(needed)
    assert holds(condition, Facts(message, NOW, only_those)) is holds(condition, Facts(message, NOW, details))


@given(conditions, mails, st.none() | all_details)
def test_every_answer_that_took_a_question_can_be_explained(condition, fields, details):
    lines = why(condition, facts(details or NO_DETAILS, **fields))

    assert all(lines)
    assert len(lines) <= 50


def test_an_explanation_ends_where_the_evaluation_ended():
    condition = AllOf((text("subject", "Quote*"), text("from", "*@supplier.example")))

    assert why(condition, facts(subject="Invoice 1")) == ["subject is 'Invoice 1', wanted 'Quote*'"]
    assert why(AnyOf((text("subject", "Inv*"), HasAttachments(True))), facts(subject="Invoice 1")) == [
        "subject 'Invoice 1' fits 'Inv*'"
    ]


@pytest.mark.parametrize(
    ("condition", "line"),
    [
        (header("X-Spam", "yes"), "header X-Spam needs the mail's headers, not read so far"),
        (SizeIs(least=1), "size needs the mail's size, not read so far"),
        (HasAttachments(True), "has_attachments is false, wanted true"),
        (AgeIs(least=60, most=7200), "age is 3600, wanted at least 60 and at most 7200"),
        (AgeIs(), "age is 3600, wanted any"),
        (text("category", "red"), "category is nothing, wanted 'red'"),
    ],
)
def test_an_explanation_says_what_was_found_and_what_was_wanted(condition, line):
    assert why(condition, facts(size=None)) == [line]


def test_an_explanation_is_short_however_long_a_strangers_texts_are():
    many = tuple(Address("", f"{number}" * 5000) for number in range(1000))

    [line] = why(text("to", "me"), facts(to=many))

    assert len(line) < SHOWN * (SHOWN + 10)
