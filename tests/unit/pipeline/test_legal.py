"""Which answers of a handler are fit to be stored."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from postroom.model import (
    Categorise,
    Delete,
    Done,
    Flag,
    Forward,
    MarkRead,
    MoveTo,
    Reject,
    Reply,
    Retry,
    Send,
    Skip,
)
from postroom.pipeline.legal import fault_of


@pytest.mark.parametrize(
    "answer",
    [
        None,
        Done(),
        Done("note", (MarkRead(), MoveTo("A"), Categorise(("x",)), Flag(), Flag("complete"))),
        Done(actions=[MoveTo("A")]),
        Done(actions=[Delete()]),
        Done(actions=(Reply("x"), Forward(("a@b.example",)), Send(["a@b.example"], "s", "t"))),
        Skip(),
        Retry(),
        Retry("busy", 5),
        Retry("busy", 5.5),
        Reject("bad"),
    ],
)
def test_an_outcome_that_is_well_formed_has_no_fault(answer):
    assert fault_of(answer) == ""


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Done(actions=(Reply(""),)), "a Done that asks for a Reply without a text"),
        (Done(actions=(MoveTo("A"), Delete())), "a Done that moves or deletes its mail more than once"),
        (Done(actions=(MoveTo("A"), MoveTo("B"))), "a Done that moves or deletes its mail more than once"),
        (Done(actions=(Forward(("nobody",)),)), "a Done that asks for a recipient that is no mail address: 'nobody'"),
        ("done", "a str; it must return"),
        (True, "a bool; it must return"),
        (Done, "a type; it must return"),
        (Done(note=None), "a Done whose note or reason is no text"),
        (Skip(3), "a Skip whose note or reason is no text"),
        (Reject(ValueError("x")), "a Reject whose note or reason is no text"),
        (Retry(None), "a Retry whose note or reason is no text"),
        (Retry("x", timedelta(seconds=3)), "a Retry whose `after`"),
        (Retry("x", math.nan), "a Retry whose `after`"),
        (Retry("x", math.inf), "a Retry whose `after`"),
        (Done(actions=MoveTo("A")), "a Done whose `actions` are no tuple"),
        (Done(actions=None), "a Done whose `actions` are no tuple"),
        (Done(actions=("move",)), "a Done with 'move' among its actions"),
        (Done(actions=(MoveTo(None),)), "a Done with MoveTo(folder=None) among its actions"),
        (Done(actions=(Categorise("red"),)), "a Done with Categorise(categories='red') among its actions"),
        (Done(actions=(Flag("maybe"),)), "a Done with Flag(status='maybe') among its actions"),
        (Done(actions=(Flag(["flagged"]),)), "a Done with Flag(status=['flagged']) among its actions"),
        (Done(actions=(MarkRead(1),)), "a Done with MarkRead(read=1) among its actions"),
    ],
)
def test_a_malformed_answer_is_named(answer, fault):
    assert fault_of(answer).startswith(fault)
