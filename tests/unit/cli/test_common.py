"""What commands print: tables and JSON in which nothing a stranger wrote does anything."""

from __future__ import annotations

import io
import json

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from postroom.cli.common import counted, echo, print_json
from postroom.cli.tables import table

STEERING = ("\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\r")


def test_json_with_what_steers_a_terminal_is_escaped_and_still_the_same_json(capsys):
    value = {"subject": "Grüße \x1b[2J\x9b31m\u202e\ud800\r\n", "list": [1, {"ü": "\u2028"}]}
    print_json(value)
    told = capsys.readouterr().out
    assert json.loads(told) == value
    assert "Grüße" in told
    assert not [each for each in STEERING if each in told]


@given(st.text())
def test_a_cell_shows_any_text_on_one_line_without_steering(text):
    stream = io.StringIO()
    Console(file=stream, width=10_000).print(table("t", ("c",), [(text,)]))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 6
    assert not [each for each in STEERING if each in stream.getvalue()]


def test_markup_in_a_title_or_a_cell_is_text():
    stream = io.StringIO()
    Console(file=stream, width=200).print(table("[red]t[/red]", ("c",), [("[link=file:///etc]x[/link]", None)]))
    assert "[red]t[/red]" in stream.getvalue()
    assert "[link=file:///etc]x[/link]" in stream.getvalue()


def test_a_line_is_shown_and_does_nothing(capsys):
    echo("a\x1b[2J\nb")
    assert capsys.readouterr().out == "a\\x1b[2J\\nb\n"


def test_one_is_not_many():
    assert (counted(1, "is", "are"), counted(0, "is", "are")) == ("1 is", "0 are")
