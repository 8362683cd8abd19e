"""What may be sent, and how texts are filled in."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.model import Address, Forward, Reply, Send
from postroom.outgoing import (
    FIELDS,
    LONGEST_SUBJECT,
    LONGEST_TEXT,
    LONGEST_VALUE,
    MOST_RECIPIENTS,
    fault_of_letter,
    fault_of_template,
    fill,
    filled,
    is_address,
    one_line,
)
from postroom.testing import make_message

ANYTHING = st.text(st.characters(), max_size=500)


@pytest.mark.parametrize("address", ["a@b.example", "a.b+c@d-e.example", "jürgen@x.example", "o'neil@x.example"])
def test_an_address_is_one(address):
    assert is_address(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@b",
        "a@",
        "Anna <a@b.example>",
        "a@b.example, c@d.example",
        "a@b.example\r\nBcc: x@y",
        "a b@c",
        "a@b\x00",
    ],
)
def test_what_is_no_single_bare_address_is_refused(text):
    assert not is_address(text)


@pytest.mark.parametrize(
    "letter",
    [
        Reply(""),
        Reply("x" * (LONGEST_TEXT + 1)),
        Reply("x", "s" * (LONGEST_SUBJECT + 1)),
        Reply(7),
        Reply("x", to_all="yes"),
        Forward(()),
        Forward("a@b.example"),
        Forward(("nobody",)),
        Forward((None,)),
        Forward(tuple(f"a{n}@b.example" for n in range(MOST_RECIPIENTS + 1))),
        Send((), "s", "t"),
        Send(("a@b.example",), "s", None),
        Send(("a@b.example",) * 30, "s", "t", ("c@d.example",) * 30),
    ],
    ids=repr,
)
def test_what_cannot_be_sent_says_why(letter):
    assert fault_of_letter(letter)


def test_what_can_be_sent_has_no_fault():
    for letter in (Reply("x"), Forward(("a@b.example",)), Send(["a@b.example"], "s", "t", ("c@d.example",))):
        assert fault_of_letter(letter) == ""


@pytest.mark.parametrize("text", ["{nothing}", "{", "}", "a { b", "{subject.__class__}", "{0}", "{}", "{subject!r}"])
def test_only_the_names_of_the_list_may_be_asked_for(text):
    assert fault_of_template(text)


@given(ANYTHING, ANYTHING, ANYTHING)
def test_whatever_the_mail_says_each_value_is_one_short_line_that_is_not_looked_at_again(subject, name, address):
    message = make_message(subject=subject, sender=Address(name, address))
    for field in FIELDS:
        value = fill(f"{{{field}}}", message)
        assert len(value) <= LONGEST_VALUE
        assert not any(unicodedata.category(each) in {"Cc", "Cf", "Zl", "Zp"} for each in value)
    assert fill("{subject}", make_message(subject="{sender}")) == "{sender}"


@given(ANYTHING)
def test_a_text_without_braces_is_left_alone(text):
    plain = text.replace("{", "").replace("}", "")
    assert fault_of_template(plain) == ""
    assert fill(plain, make_message()) == plain


def test_doubled_braces_are_braces():
    assert fill("{{subject}} {subject}", make_message(subject="x")) == "{subject} x"


def test_a_rules_texts_are_filled_in_and_its_recipients_are_not():
    message = make_message(subject="x")
    letter = Send(("a@b.example",), "About {subject}", "It says {subject}")
    assert filled(letter, message) == Send(("a@b.example",), "About x", "It says x")
    assert filled(Reply("{subject}", "{subject}"), message) == Reply("x", "x")
    assert filled(Forward(("a@b.example",), "{subject}"), message) == Forward(("a@b.example",), "x")


@given(ANYTHING)
def test_a_subject_is_one_printable_line(text):
    line = one_line(text)
    assert len(line) <= LONGEST_SUBJECT
    assert line.isprintable()
