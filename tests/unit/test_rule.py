"""Patterns: globs cover, regular expressions search, and neither hangs on a stranger's text."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.errors import RuleError
from postroom.rule import LONGEST_TEXT, Pattern


@pytest.mark.parametrize(
    ("source", "text", "fits"),
    [
        ("*@supplier.example", "Ada@Supplier.Example", True),
        ("*@supplier.example", "ada@supplier.example.evil", False),
        ("*@supplier.example", "ada@supplierXexample", False),
        ("invoice", "my invoice", False),
        ("invoice ?", "Invoice 7", True),
        ("[ab]*", "Beta", True),
        ("/invoice/", "my INVOICE 7", True),
        ("/^invoice/", "my invoice", False),
        ("/a.b/", "a\nb", True),
        ("*", "", True),
        ("*", "two\nlines", True),
        ("/", "/", True),
        ("//", "anything", True),
    ],
)
def test_a_glob_covers_the_text_and_a_regular_expression_is_found_in_it(source, text, fits):
    assert Pattern.parse(source).matches(text) is fits


def test_a_malformed_regular_expression_is_refused():
    with pytest.raises(re.error):
        Pattern.parse("/(/")


@given(st.text(max_size=200))
def test_a_text_without_wild_cards_fits_itself_alone(text):
    if not set(text) & set("*?[/"):
        assert Pattern.parse(text).matches(text)
        assert not Pattern.parse(text).matches(f"{text}x")


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_star_stands_for_any_text(before, after):
    assert Pattern.parse("*").matches(before + after)
    if not set(before) & set("*?[/"):
        assert Pattern.parse(f"{before}*").matches(before + after)


def test_only_the_beginning_of_an_endless_text_is_looked_at():
    assert not Pattern.parse("/needle/").matches("x" * LONGEST_TEXT + "needle")
    assert Pattern.parse("/needle/").matches("x" * (LONGEST_TEXT - 6) + "needle")


def test_a_glob_of_many_stars_is_answered_fast_however_the_text_was_chosen():
    started = time.process_time()

    assert not Pattern.parse("*a*a*a*a*a*a*a*a*b").matches("a" * 10_000_000)
    assert time.process_time() - started < 2.0


def test_a_pattern_that_takes_too_long_is_an_error_and_no_standstill():
    pattern = Pattern.parse("/(a|aa)+$/")
    with pytest.raises(RuleError, match="took longer than"):
        pattern.matches("a" * 60 + "b")
